"""Start a server as a process, await READY, stop it, and leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from types import TracebackType

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
TAIL_BYTES = 2000  # of stderr, for the reason

_READY = re.compile(r"READY (tcp|udp)://(\S+):(\d+)\r?\n")
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """The server did not become ready, or did not end; the message is for a person."""


def start(
    command: list[str], core: int | None, *, stdin: int, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, on `core` if given.

    It is killed by the kernel when we die, however we die, and it may open as many
    descriptors as the hard limit allows.
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)
        if core is not None:
            os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=prepare, process_group=0
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End `process` and its whole group at once; harmless when they are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"


class Server:
    """A server process, as a context manager: ready inside, gone after.

    Raises LaunchError when it does not say READY within READY_TIMEOUT_S.
    """

    def __init__(self, command: list[str], core: int | None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        try:
            self._process = start(
                command,
                core,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr.fileno(),
            )
        except OSError as error:
            self._stderr.close()
            raise LaunchError(f"cannot start {command[0]}: {error.strerror}") from None
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        try:
            self.scheme, self.host, self.port = self._await_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _await_ready(self) -> tuple[str, str, int]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(left)
                    raise LaunchError(f"ended before it was ready: {self.ending()}")
                said = (said + piece)[-65536:]
                if match := _READY.search(said.decode(errors="replace")):
                    scheme, host, port = match.groups()
                    return scheme, host.strip("[]"), int(port)
        raise LaunchError(f"did not say READY within {READY_TIMEOUT_S:g} s{self._and_stderr()}")

    def died(self) -> str | None:
        """How the server ended, if it has; None while it runs."""
        return None if self._process.poll() is None else self.ending()

    def ending(self) -> str:
        status = self._process.poll()
        if status is None:
            how = "it closed its output"
        elif status < 0:
            how = f"killed by {_signal_name(-status)}"
        else:
            how = f"exit status {status}"
        return how + self._and_stderr()

    def stderr_tail(self) -> str:
        """The end of what the server wrote to stderr."""
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - TAIL_BYTES))
        return self._stderr.read().decode(errors="replace").strip()

    def _and_stderr(self) -> str:
        tail = self.stderr_tail()
        return f"; stderr: {tail}" if tail else ""

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM and wait. Raises LaunchError if it does not end, or ends badly.

        Dying of SIGTERM is what a program does that makes no arrangements for it.
        """
        self._process.terminate()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LaunchError(
                f"did not end within {timeout:g} s of SIGTERM{self._and_stderr()}"
            ) from None
        if status not in (0, -signal.SIGTERM):
            raise LaunchError(f"ended badly after SIGTERM: {self.ending()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kill(self._process)
        self._stderr.close()
