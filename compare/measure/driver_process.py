"""The driver as the runner sees it: a process that gets a Spec and gives an Outcome."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import msgspec
from msgspec.json import Decoder

from compare.contract.counts import Counts
from compare.contract.outcome import Outcome
from compare.contract.plan import Agree
from compare.contract.spec import FEWEST, HOME_S, LONGEST_S, Spec
from compare.host.launch import kill, start
from compare.models.source import OURS, first_on_path
from compare.models.unreadable import UNREADABLE

GRACE_S = 15.0  # beyond warm-up and windows, for connecting and counting
TURN_S = 0.05  # beyond its window, that a turn takes at most where answers are quick
COUNTING = 0.5  # of the windows: what was seen in them is counted after
CONNECTS_PER_S = 500.0  # slower than this, opening or closing is given up
HANDSHAKES_PER_S = 50.0  # the same over TLS
STEP_S = 1.0  # how often the caller hears that the window is still under way


T = TypeVar("T")

# Made before there are threads: where two of them have msgspec look at a type for the first time,
# it crashes (0.22).
COUNTS, OUTCOMES = Decoder(Counts), Decoder(list[Outcome])
Told = Callable[[int], None]  # of the number of operations so far


def limit_s(spec: Spec) -> float:
    """That a driver takes at most: where answers are quick, and where each turn is a long one.

    Before the first turn and after the last what is under way comes home, too.
    """
    windows_s = spec.slices * spec.slice_s
    turns, longest_s = max(FEWEST, math.ceil(windows_s / LONGEST_S)), LONGEST_S
    if spec.slices == 1:  # which stays as it is
        turns, longest_s = 1, spec.slice_s
    quick_s = windows_s + spec.slices * TURN_S
    slow_s = turns * (LONGEST_S + longest_s + HOME_S)
    counting_s = COUNTING * max(windows_s, turns * longest_s)
    connecting_s = spec.connections / (HANDSHAKES_PER_S if spec.tls else CONNECTS_PER_S)
    each_s = spec.warmup_s + max(quick_s, slow_s) + counting_s + connecting_s + 2 * HOME_S
    return GRACE_S + len(spec.targets) * each_s


class DriverError(Exception):
    """The driver failed: a fault of the instrument, or it was held up for ever."""


def _number(line: bytes) -> int:
    if not line.isdigit():
        raise DriverError(f"the driver said what cannot be: {line[:40]!r}")
    return int(line)


def record(line: bytes, decoder: Decoder[T]) -> T:
    """What a process of ours said. Raises DriverError."""
    try:
        return decoder.decode(line)
    except UNREADABLE as error:
        raise DriverError(f"the driver said what cannot be: {error}") from None


def how_ended(status: int) -> str:
    """An exit status of subprocess, for a person."""
    if status >= 0:
        return f"exit status {status}"
    name = signal.strsignal(-status) or "a signal"
    return f"signal {-status} ({name})" + (": out of memory?" if status == -signal.SIGKILL else "")


class Driver:
    """A driver process on its own core, as a context manager: gone after.

    Raises DriverError where it cannot be started.
    """

    def __init__(self, core: int | None) -> None:
        try:
            # In memory, so that it takes no folder that can be written.
            self._stderr = os.fdopen(os.memfd_create("driver"), "rb")
        except OSError as error:
            raise DriverError(f"cannot start the driver: {error.strerror}") from None
        try:
            self._process = start(
                [sys.executable, "-P", "-m", "compare.driver"],
                () if core is None else (core,),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr.fileno(),
                env=first_on_path(str(OURS)),
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._stderr.close()
            raise DriverError(f"cannot start the driver: {error}") from None
        self.pid = self._process.pid

    def __enter__(self) -> Driver:
        return self

    def drive(self, spec: Spec, told: Told, agree: Agree | None = None) -> list[Outcome]:
        """Put the load of `spec` on its servers. Raises DriverError.

        `told` hears how many operations there have been, some ten times a second while all goes
        well, and once a second in any case. `agree` is asked when to begin, where this is one of
        several drivers.
        """
        limit, took = limit_s(spec), 0.0
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it will be asked how it ended
            stdin.write(msgspec.json.encode(spec) + b"\n")
            stdin.flush()
        rest: list[bytes] = []  # of a line that has not ended; the last may have megabytes
        operations = 0
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                began = time.monotonic()
                if selector.select(STEP_S):
                    piece = os.read(stdout.fileno(), 65536)
                    if not piece:
                        break
                    ended, newline, begun = piece.rpartition(b"\n")
                    if not newline:
                        rest.append(piece)
                        continue
                    lines = b"".join([*rest, ended]).split(b"\n")
                    rest = [begun]
                    if agree and lines[-1].startswith(b"{"):  # it says no more until it is told
                        plan = agree(record(lines.pop(), COUNTS))
                        began = time.monotonic()
                        with contextlib.suppress(BrokenPipeError):
                            stdin.write(msgspec.json.encode(plan) + b"\n")
                            stdin.flush()
                    if lines:
                        operations = _number(lines[-1])
                told(operations)
                # While we are stopped ourselves (SIGSTOP, a laptop that sleeps) time goes on.
                took += min(time.monotonic() - began, 2 * STEP_S)
                if took > limit:
                    raise DriverError(
                        f"the driver did not end within {limit:.0f} s: the server holds it up"
                    )
        self._process.wait()
        output = b"".join(rest)
        if self._process.returncode or not output:
            raise DriverError(f"the driver failed: {self._how()}")
        return record(output, OUTCOMES)

    def _how(self) -> str:
        """It ended: its last word, or else what the system says."""
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else how_ended(self._process.returncode)

    def end(self) -> None:
        """At once; whoever drives with it meanwhile, in another thread, hears of that."""
        self._process.kill()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kill(self._process)
        self._stderr.close()
