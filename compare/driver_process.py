"""The driver as the runner sees it: a process that gets a Spec and gives an Outcome."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import TracebackType

import msgspec

from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.launch import kill, start

GRACE_S = 15.0  # beyond warm-up and window, for connecting and counting
CONNECTS_PER_S = 500.0  # slower than this, opening or closing is given up
STEP_S = 1.0  # how often the caller hears that the window is still under way


class DriverError(Exception):
    """The driver failed: a fault of the instrument, or it was held up for ever."""


class Driver:
    """A driver process on its own core, as a context manager: gone after."""

    def __init__(self, core: int | None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self._process = start(
            [sys.executable, "-m", "compare.driver"],
            core,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr.fileno(),
        )

    def __enter__(self) -> Driver:
        return self

    def drive(self, spec: Spec, wait: Callable[[], None]) -> Outcome:
        """Put the load of `spec` on its server; `wait` is called now and then.

        Raises DriverError.
        """
        limit = spec.warmup_s + spec.duration_s + GRACE_S + spec.connections / CONNECTS_PER_S
        deadline = time.monotonic() + limit
        task: bytes | None = msgspec.json.encode(spec)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = self._process.communicate(task, timeout=STEP_S)
                break
            task = None
            wait()
            if time.monotonic() > deadline:
                raise DriverError(
                    f"the driver did not end within {limit:.0f} s: the server holds it up"
                )
        if self._process.returncode or not output:
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace").strip().splitlines()
            how = said[-1] if said else f"status {self._process.returncode}"
            raise DriverError(f"the driver failed: {how}")
        return msgspec.json.decode(output, type=Outcome)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kill(self._process)
        self._stderr.close()
