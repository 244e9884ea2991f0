"""A worker under watch: it has so long for each of its words, and leaves nobody behind."""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from compare.classroom.offspring import end_all
from compare.classroom.worker import Job, Said
from compare.host import kin
from compare.host.launch import LaunchError, ending_of, kill, start, why_not_started
from compare.host.tail import Tail
from compare.models.unreadable import UNREADABLE

APART = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
OF_ROOT, OF_OTHERS = ("--net", "--ipc"), ("--user", "--map-current-user")
WORKER, KEEPER = "compare.classroom.worker", "compare.classroom.keeper"
TRY_S = 10.0
KEEP_S = 120.0  # for all to end and, where /tmp has many files, to be looked through
LONGEST = 64 * 1024 * 1024  # bytes of a word


def _paths() -> str:
    """Where our modules are; nothing of where we stand, which may be what was handed in."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = [str(Path(__file__).parents[2]), *(each for each in given if Path(each).is_absolute())]
    return os.pathsep.join(ours)


class GoneError(Exception):
    """It ended before it was done, and how."""


@functools.cache
def apart() -> tuple[str, ...]:
    """What gives a command processes of its own, and if we are root a network; nothing where that
    is not allowed.

    Nobody else can be seen from there, and with the command goes whoever was born of it, however
    many they are.
    """
    root = os.geteuid() == 0
    words = (*APART, *(OF_ROOT if root else OF_OTHERS))
    tried = ("mount", "-t", "tmpfs", "none", "/tmp") if root else ("true",)  # see private.py
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([*words, *tried], check=False, capture_output=True, timeout=TRY_S)
        return words if done.returncode == 0 else ()
    return ()


class Worker:
    """As a context manager. Raises LaunchError where nothing can be started here."""

    def __init__(self, job: Job) -> None:
        before = set(kin.children(os.getpid()))
        heard, errors = os.pipe()
        silence, told = os.pipe()
        self._apart = apart()
        job = msgspec.structs.replace(job, private=bool(self._apart) and os.geteuid() == 0)
        worker = [sys.executable, "-P", "-m", WORKER]
        user = str(job.user.uid) if job.user else "-"
        # Without the mark of our family, which is ended at once where we are gone.
        keeper = ["env", "-u", kin.MARK, sys.executable, "-P", "-m", KEEPER]
        keeper += [str(os.getpid()), user, f"{time.time():.6f}"]
        command = [*(self._apart or keeper), *worker]
        try:
            self._process = start(
                command,
                (),
                stdin=silence,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={"PYTHONPATH": _paths()},
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(heard)
            os.close(told)
            raise why_not_started(error, command) from None
        finally:
            os.close(errors)
            os.close(silence)
        self._ours = {*before, *kin.children(os.getpid())} - {self._process.pid}
        self._stderr = Tail(heard)
        self._came = bytearray()
        with contextlib.suppress(BrokenPipeError), os.fdopen(told, "wb") as file:
            file.write(msgspec.json.encode(job))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._apart:
            self._process.kill()  # and so its child, the first of those processes, and so all
        else:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KEEP_S)
        kill(self._process)
        end_all(self._ours)

    def hear(self, deadline: float) -> Said | None:
        """Its next word; None where it does not come in time. Raises GoneError."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._came:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece or len(self._came) > LONGEST:
                    raise GoneError(self._ending())
                self._came += piece
        line, _, rest = bytes(self._came).partition(b"\n")
        self._came = bytearray(rest)
        try:
            return msgspec.json.decode(line, type=Said)
        except UNREADABLE:
            raise GoneError("it said what nobody can read") from None

    def _ending(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        said = self._stderr.now().decode(errors="replace").strip().splitlines()
        return ending_of(self._process.poll()) + (f"; {said[-1]}" if said else "")


__all__ = ["GoneError", "LaunchError", "Worker", "apart"]
