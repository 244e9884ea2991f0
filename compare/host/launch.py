"""Start a server as a process, await READY, stop it, and leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
LOOK_S = 0.02  # between looks whether somebody listens at a place
OTHER_LOOK_S = 0.5  # the same, by the other protocol
OTHER_S = 2.0  # that a server may take from listening by one protocol to listening by the other
TAIL_BYTES = 2000  # of stderr, for the reason

_READY = re.compile(r"READY (tcp|udp)://(\S+):(\d+)\r?\n")
_FRAME = re.compile(r'^\W*File ".*", line \d+', re.MULTILINE)  # of a Python traceback
_RAISED = re.compile(r"\W*\w+(\.\w+)*(: |$)")
_LISTEN = "0A"  # tcp_states.h, as /proc/net/tcp has it
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """The server did not become ready, or did not end; the message is for a person."""


def start(
    command: list[str],
    cores: Collection[int],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, on `cores`; of none, anywhere.

    It is killed by the kernel when we die, however we die, and it may open as many
    descriptors as the hard limit allows. `env` is added to our own environment.
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)
        if cores:
            os.sched_setaffinity(0, cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with _interruptions_after() as came:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            preexec_fn=prepare,
            process_group=0,
        )
    try:
        for number in came:
            signal.raise_signal(number)
    except BaseException:
        kill(process)
        raise
    return process


@contextlib.contextmanager
def _interruptions_after() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of handling them.

    Python runs hooks where it forks (os.register_at_fork) and prints what they raise, so that
    an interruption that is handled in one would be lost.
    """
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End `process` and its whole group at once; harmless when they are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it was told and never read
                pipe.close()


class Guard:
    """Kills the group of `process` when its time is over, or when we are gone; a context manager.

    For a process that must not outlive us even if we are killed, or stopped and never continued.
    """

    _CODE = """
import os, select, sys
group, seconds = map(float, sys.argv[1:])
if not select.select([0], [], [], seconds)[0] or not os.read(0, 1):
    os.killpg(int(group), 9)
"""

    def __init__(self, pid: int, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", self._CODE, str(pid), str(seconds)],
            bufsize=0,  # what could not be written must not come again when it is closed
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """It ended as it should: nothing is to be killed any more."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"!")
        self._process.stdin.close()
        self._process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"


class Place(NamedTuple):
    """Where a server was told to listen; `scheme` is tcp or udp."""

    scheme: str
    host: str
    port: int

    def is_taken(self) -> bool:
        """Whether somebody listens there now."""
        if self.scheme == "udp":
            # Only who has the port can know whether it answers; that somebody has it must do.
            return self.is_in_a_table()
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError:
            return False
        return True

    def other(self) -> Place:
        """The same of the other protocol."""
        return self._replace(scheme="tcp" if self.scheme == "udp" else "udp")

    def is_in_a_table(self) -> bool:
        """Whether somebody listens there, without that being noticed."""
        end = f":{self.port:04X}"
        return any(
            row[1].endswith(end) and (self.scheme == "udp" or row[3] == _LISTEN)
            for row in map(str.split, socket_rows(self.scheme))
        )


def socket_rows(scheme: str) -> list[str]:
    """What the kernel tells of all its sockets, of IPv4 and of IPv6, a row each: proc_net(5).

    The second word of a row is the local end and the third the remote one, as hexadecimal
    ADDRESS:PORT. A listener of both versions has its connections of IPv4 among those of IPv6.
    """
    rows: list[str] = []
    for version in ("", "6"):
        with contextlib.suppress(OSError):
            rows += Path(f"/proc/net/{scheme}{version}").read_text().splitlines()[1:]
    return rows


class Server:
    """A server process, as a context manager: ready inside, gone after.

    It is ready when it says so, or, where it was told to listen at a `place`, when somebody
    listens there. Raises LaunchError when neither happens within READY_TIMEOUT_S.
    """

    def __init__(
        self,
        command: list[str],
        cores: Collection[int],
        *,
        place: Place | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._place = place
        self._last_words = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        try:
            self._process = start(
                command,
                cores,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr.fileno(),
                cwd=cwd,
                env=env,
            )
        except OSError as error:
            self._stderr.close()
            what = error.filename or command[0]
            raise LaunchError(f"cannot start {what}: {error.strerror}") from None
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        try:
            self.scheme, self.host, self.port = self._await_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        # Somebody must read on, or a server that talks a lot would wait for that.
        assert self._process.stdout is not None
        own = os.dup(self._process.stdout.fileno())  # which nobody closes under its reader
        self._reader = threading.Thread(target=self._read_on, args=(own,), daemon=True)
        self._reader.start()
        return self

    def _read_on(self, descriptor: int) -> None:
        while piece := os.read(descriptor, 65536):
            self._last_words = (self._last_words + piece)[-65536:]
        os.close(descriptor)

    def _await_ready(self) -> Place:
        assert self._process.stdout is not None
        began = time.monotonic()
        deadline = began + READY_TIMEOUT_S
        look_at_other = began + OTHER_LOOK_S
        otherwise = False
        said = b""
        step = LOOK_S if self._place else READY_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                readable = selector.select(min(left, step))
                if self._place and self._place.is_taken():
                    return self._place
                if self._place and self._process.poll() is not None:
                    raise LaunchError(f"ended before it was ready: {self.ending()}")
                if self._place and not otherwise and time.monotonic() > look_at_other:
                    look_at_other += OTHER_LOOK_S
                    if otherwise := self._place.other().is_in_a_table():
                        deadline = min(deadline, time.monotonic() + OTHER_S)
                if not readable:
                    continue
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece and self._place:  # it may well listen all the same
                    selector.unregister(self._process.stdout)
                    continue
                if not piece:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(left)
                    raise LaunchError(f"ended before it was ready: {self.ending()}")
                said = (said + piece)[-65536:]
                if match := _READY.search(said.decode(errors="replace")):
                    scheme, host, port = match.groups()
                    return Place(scheme, host.strip("[]"), int(port))
        also = ""
        if self._place:
            wanted, there = (each.scheme.upper() for each in (self._place, self._place.other()))
            also = f", nor did it listen at {wanted} port {self._place.port},"
            if otherwise:
                raise LaunchError(
                    f"did not say READY{also} but at the {there} port of that number: --workloads, "
                    "or workloads in --config, can leave out what it does not serve"
                    f"{self._and_stderr()}"
                )
        raise LaunchError(
            f"did not say READY{also} within {READY_TIMEOUT_S:g} s{self._and_stderr()}"
        )

    def died(self) -> str | None:
        """How the server ended, if it has; None while it runs."""
        return None if self._process.poll() is None else self.ending()

    def terminate(self) -> None:
        self._process.terminate()

    def status(self) -> int | None:
        """Its exit status, as of subprocess; None while it runs."""
        return self._process.poll()

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

    def last_words(self) -> bytes:
        """The end of what the server, now ended, wrote to stdout after READY."""
        self._reader.join(STOP_TIMEOUT_S)
        return self._last_words

    def _and_stderr(self) -> str:
        """Of a traceback the line that says what it was."""
        tail = self.stderr_tail()
        if _FRAME.search(tail):
            said = [line for line in tail.splitlines() if _RAISED.match(line)]
            tail = said[-1].strip(" |") if said else tail
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
