"""Start a server as a process, await READY, stop it, and leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any

from compare.host import kin
from compare.host.last_words import gist
from compare.host.place import Place
from compare.host.tail import Tail, last
from compare.host.user import User
from compare.models.starting import why_not

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
KILL_TIMEOUT_S = 30.0  # it may have much memory to give back; what is not ours cannot be killed
LOOK_S = 0.02  # between looks whether somebody listens at a place
OTHER_LOOK_S = 0.5  # the same, by the other protocol
OTHER_S = 2.0  # that a server may take from listening by one protocol to listening by the other
TAIL_BYTES = 2000  # of stderr, for the reason
AWAY = "it went into the background"  # how it begins what is said of one that did
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Of its own, of the signal, and 128 more than that as of a shell: a JVM says the last.
WELL_ENDED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
# What keeps anything from being started; the rest is about the command.
OURS = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

_READY = re.compile(r"READY (tcp|udp)://(\S+):(\d+)\r?\n")
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """The server did not become ready, or did not end; the message is for a person."""


class UnableError(LaunchError):
    """Nothing can be started here, whatever the command: it is this machine."""


class SilentError(LaunchError):
    """It runs, and neither says where it listens nor listens where it was told to."""


class ProtocolError(LaunchError):
    """It listens by the other protocol. `said` is the message without what to do about it."""

    def __init__(self, said: str, stderr: str = "") -> None:
        super().__init__(
            f"{said}: --workloads, or workloads in --config, can leave out what it does not "
            f"serve{stderr}"
        )
        self.said = f"{said}{stderr}"


_whose: User | None = None


def start_all_as(user: User | None) -> None:
    """From now on all that this process starts is that user's: there is no other way to start it.

    None: ours again.
    """
    global _whose
    _whose = user


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
    descriptors as the hard limit allows. `env` is added to our own environment. Whoever is born
    of it ends with it in kill(), in whatever group or session. It is ours, or whose
    start_all_as() says.
    """
    parent, user = os.getpid(), _whose
    family = kin.expect()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)
        if cores:
            os.sched_setaffinity(0, cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if user:
            user.bind()

    with _interruptions_after() as came, _or_nobody():
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env={**os.environ, **(env or {}), kin.MARK: family.mark},
            preexec_fn=prepare,
            process_group=0,
            **(user.options() if user else {}),
        )
        family.begins_with(process.pid)
    try:
        for number in came:
            signal.raise_signal(number)
    except BaseException:
        kill(process)
        raise
    return process


@contextlib.contextmanager
def _or_nobody() -> Iterator[None]:
    """Where nothing was started, nobody's orphans are expected."""
    try:
        yield
    except BaseException:
        kin.end(0)
        raise


@contextlib.contextmanager
def _interruptions_after() -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and what else ends us in order, instead of handling them.

    Python runs hooks where it forks (os.register_at_fork) and prints what they raise, so that
    an interruption that is handled in one would be lost.
    """
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in INTERRUPTIONS:
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End `process` and all that was born of it at once; harmless when they are gone."""
    gone = (ProcessLookupError, PermissionError)  # or another user's, as under sudo
    if process.poll() is None:  # else its number may be another's
        for each in reversed(kin.tree(process.pid)[1:]):
            with contextlib.suppress(*gone):
                os.kill(each, signal.SIGKILL)
        with contextlib.suppress(*gone):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_TIMEOUT_S)
    kin.end(process.pid)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it was told and never read
                pipe.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"


def ending_of(status: int | None) -> str:
    """Of an exit status, as of subprocess."""
    if status is None:
        return "it closed its output"
    return f"killed by {_signal_name(-status)}" if status < 0 else f"exit status {status}"


def and_stderr(tail: str) -> str:
    """What it said in the end, in short."""
    return f"; stderr: {gist(tail)}" if tail else ""


class Server:
    """A server process, as a context manager: ready inside, gone after.

    It is ready when it says so, or, where it was told to listen at a `place`, when somebody
    listens there. Raises LaunchError when neither happens within `ready_timeout_s`.
    """

    def __init__(
        self,
        command: list[str],
        cores: Collection[int],
        *,
        place: Place | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        ready_timeout_s: float | None = None,
    ) -> None:
        self._place = place
        self._free = [each for each in place.loopbacks() if not each.is_taken()] if place else []
        self._ready_timeout_s = READY_TIMEOUT_S if ready_timeout_s is None else ready_timeout_s
        self._began = time.monotonic()
        self._command = command
        ours, theirs = os.pipe()
        silence, self._stdin = os.pipe()  # open as a terminal is, and nobody types
        try:
            self._stderr = Tail(ours)
            self._process = start(
                command,
                cores,
                stdin=silence,
                stdout=subprocess.PIPE,
                stderr=theirs,
                cwd=cwd,
                env=env,
            )
        except BaseException as error:
            os.close(self._stdin)
            raise why_not_started(error, command) from None
        finally:
            os.close(theirs)
            os.close(silence)
        self._stdout: Tail | None = None
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        try:
            self.scheme, self.host, self.port = self._await_ready()
            self.started_s = time.monotonic() - self._began
            kin.look_for_orphans(self.pid)
            # Somebody must read on, or a server that talks a lot would wait for that.
            assert self._process.stdout is not None
            self._stdout = Tail(os.dup(self._process.stdout.fileno()))
        except BaseException as error:
            self.__exit__(None, None, None)
            raise why_not_started(error, self._command) from None
        return self

    def _await_ready(self) -> Place:
        place = self._first_seen()
        try:
            place = place.resolved()
        except OSError as error:
            raise LaunchError(
                f"it said READY at {place.host}, which is no address here: {error.strerror}"
            ) from None
        if self._process.poll() is not None:
            raise LaunchError(self.background())
        return place

    def background(self) -> str:
        """Why one that has ended, and yet is there, is not what was asked for."""
        left = kin.orphans_of(self.pid)
        who = f"process {left[0]} of it lives on" if left else "somebody else listens there"
        return (
            f"{AWAY}: what was started has ended ({self.ending()}), and {who}; start it in the "
            "foreground"
        )

    def _first_seen(self) -> Place:
        """Where it is, by its own words or as we see it."""
        assert self._process.stdout is not None
        deadline = self._began + self._ready_timeout_s
        look_at_other = self._began + OTHER_LOOK_S
        otherwise = False
        said = b""
        left = step = LOOK_S if self._place else self._ready_timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while left > 0:  # and once after that: we may have been stopped since we looked
                left = deadline - time.monotonic()
                readable = selector.select(max(0.0, min(left, step)))
                for each in self._free:
                    if each.is_taken():
                        return each
                if self._place and self._process.poll() is not None:
                    raise LaunchError(self._end_of_start())
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
                    raise LaunchError(self._end_of_start())
                said = (said + piece)[-65536:]
                if match := _READY.search(said.decode(errors="replace")):
                    scheme, host, port = match.groups()
                    return Place(scheme, host.strip("[]"), int(port))
        raise self._why_not_ready(otherwise)

    def _end_of_start(self) -> str:
        if self._process.poll() == 0 and kin.orphans_of(self.pid):
            return self.background()
        return f"ended before it was ready: {self.ending()}"

    def _why_not_ready(self, otherwise: bool) -> LaunchError:
        also = ""
        if self._place:
            wanted, there = (each.scheme.upper() for each in (self._place, self._place.other()))
            also = f", nor did it listen at {wanted} port {self._place.port},"
            if otherwise:
                return ProtocolError(
                    f"did not say READY{also} but at the {there} port of that number",
                    self._and_stderr(),
                )
            if not self._free:
                return LaunchError(f"{wanted} port {self._place.port} was taken before it began")
        within = f"within {self._ready_timeout_s:g} s"
        return SilentError(f"did not say READY{also} {within}{self._and_stderr()}")

    def died(self, within_s: float = 0.0) -> str | None:
        """How the server ended, if it has or does within so long; None while it runs."""
        if within_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
        return None if self._process.poll() is None else self.ending()

    def terminate(self) -> None:
        self._process.terminate()

    def status(self) -> int | None:
        """Its exit status, as of subprocess; None while it runs."""
        return self._process.poll()

    def ending(self) -> str:
        return ending_of(self._process.poll()) + self._and_stderr()

    def stderr_tail(self) -> str:
        """The end of what the server wrote to stderr."""
        return last(self._stderr.now(), TAIL_BYTES)

    def last_words(self) -> bytes:
        """The end of what the server, now ended, wrote to stdout after READY."""
        assert self._stdout is not None
        return self._stdout.whole(STOP_TIMEOUT_S)

    def _and_stderr(self) -> str:
        return and_stderr(self.stderr_tail())

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
        if status not in WELL_ENDED:
            raise LaunchError(f"ended badly after SIGTERM: {self.ending()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kill(self._process)
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


def why_not_started(error: BaseException, command: list[str]) -> BaseException:
    if isinstance(error, subprocess.SubprocessError):
        return UnableError(f"cannot start anything here: {error}")
    if not isinstance(error, OSError):
        return error
    if error.errno in OURS:
        return UnableError(f"cannot start anything here: {error.strerror}")
    return LaunchError(why_not(error, command[0]))
