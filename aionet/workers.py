"""Worker processes: as many as were asked for, all the time, until told to stop.

They are forked, not spawned: what they run need not be importable, and nothing is pickled. The
price is fork(2)'s: only the calling thread exists in a child, so a lock that another one held
stays locked there. Call `supervise` before starting threads.

The parent waits for three things in one poll(2), and for nothing else: the end of a worker (its
pidfd), a worker that is ready (a pipe that all share), a signal (the pipe of set_wakeup_fd).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

START_S = 1.0  # whoever ends sooner did not start: starting another would keep a core busy
START_TRIES = 3

_STOPS = (signal.SIGTERM, signal.SIGINT)
_PID = struct.Struct("i")  # less than PIPE_BUF, so that a write of it is atomic: pipe(7)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process knows of its parent.

    Its parent asks it to stop with SIGTERM, whose action is the default one, to die, until the
    worker installs another. A second SIGTERM means nothing new, and must not end it at once:
    whoever signals a whole group or cgroup, as systemd does, is followed by the parent, which
    kills by SIGKILL. SIGINT is ignored and should stay so: Ctrl-C reaches the parent as well.
    """

    number: int  # from 0; the one that replaces it has the same
    parent_gone: int  # descriptor at EOF once the parent has died, however it died; never written
    _ready: int = field(repr=False)

    def ready(self) -> None:
        """Tell the parent that this worker serves."""
        with contextlib.suppress(BrokenPipeError):  # nobody is left to be told
            os.write(self._ready, _PID.pack(os.getpid()))


def supervise(
    work: Callable[[Worker], int],
    count: int,
    *,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None] | None = None,
) -> int:
    """Run `work` in `count` processes until SIGTERM or SIGINT; returns the exit status.

    `on_ready` is called here, once, when all are ready; `on_stop` once, before they are told to
    stop. A worker that ends unasked is replaced, whatever its status. The status is 1 if one
    ended badly when it was asked to, or if starting was given up: because one ended before any
    was ever ready, or START_TRIES times in a row before it was ready or START_S old. A second
    signal kills the workers and then the caller.

    For the main thread, as signal handlers are; those of the caller are put back. An OSError
    (no more processes, no more descriptors) stops all workers before it is raised.
    """
    if count < 1:
        raise ValueError(f"count is {count}; there must be at least 1 worker")
    return _Parent(work, on_ready, on_stop).run(count)


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    started: float
    ready: bool = False

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"


class _Parent:
    """The workers that there are, and what is to happen when one ends."""

    def __init__(
        self,
        work: Callable[[Worker], int],
        on_ready: Callable[[], None],
        on_stop: Callable[[], None] | None,
    ) -> None:
        self._work = work
        self._on_stop = on_stop
        self._on_ready: Callable[[], None] | None = on_ready
        self._children: dict[int, _Child] = {}  # by pidfd
        self._tries: dict[int, int] = {}  # by number: how many in a row did not start
        self._poll = select.poll()
        self._any_was_ready = False
        self._signalled = False
        self._stopping = False
        self._given_up = False
        self._ended_badly = False

    def run(self, count: int) -> int:
        with _pipe() as self._life, _pipe() as self._ready, _noted_signals() as self._signals:
            for fd in (self._ready[0], self._signals[0]):
                self._poll.register(fd, select.POLLIN)
            try:
                for number in range(count):
                    self._start(number)
                self._wait()
            finally:
                self._stop()
                self._wait()
        return int(self._given_up or self._ended_badly)

    def _start(self, number: int) -> None:
        _flush()  # or the child would write it once more
        # A signal to the child must not be noted in the parent's pipe, which it still has.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            pid = os.fork()
            if not pid:
                self._become_worker(number, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._children[pidfd] = _Child(number, pid, time.monotonic())
        self._poll.register(pidfd, select.POLLIN)

    def _become_worker(self, number: int, mask: set[int]) -> NoReturn:
        """The child's whole life. It must not return: the code above is the parent's."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # Were a sibling to keep the writing end of `life`, nobody would see the parent die.
            for fd in (self._life[1], self._ready[0], *self._signals, *self._children):
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # The module `random` seeds itself anew after a fork.
            sys.exit(self._work(Worker(number, self._life[0], self._ready[1])))
        except SystemExit as stop:
            if stop.code is None or isinstance(stop.code, int):
                status = (stop.code or 0) & 0xFF
            else:
                logger.error("%s", stop.code)
        except BaseException:
            logger.exception("worker %d failed", number)
        finally:
            try:
                _flush()
            finally:  # even if a handler that the worker installed raises just now
                os._exit(status)

    def _wait(self) -> None:
        """Attend to the workers until there are none."""
        while self._children:
            events = self._poll.poll()
            # In this order: what is stopping is not replaced, what was ready had started.
            self._read_signals()
            self._read_ready()
            for fd, _ in events:
                if fd in self._children:
                    self._bury(fd)

    def _read_signals(self) -> None:
        for number in _read(self._signals[0]):
            if number in _STOPS:
                if self._signalled:
                    self._die(number)
                self._signalled = True
                self._stop()

    def _read_ready(self) -> None:
        pids = {pid for (pid,) in _PID.iter_unpack(_read(self._ready[0]))}
        for child in self._children.values():
            child.ready |= child.pid in pids
        self._any_was_ready |= any(child.ready for child in self._children.values())
        if self._on_ready and not self._stopping and all(c.ready for c in self._children.values()):
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def _bury(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if self._stopping:
            # A worker may have been asked before it had made arrangements for SIGTERM.
            if code not in (0, -signal.SIGTERM) and not self._given_up:
                self._ended_badly = True
                logger.warning("%s was asked to stop: %s", child, _how(code))
            return
        started = child.ready and time.monotonic() - child.started >= START_S
        tries = self._tries[child.number] = 0 if started else self._tries.get(child.number, 0) + 1
        if self._any_was_ready and tries < START_TRIES:
            logger.warning("%s ended: %s; starting another", child, _how(code))
            self._start(child.number)
            return
        when = f"at once, {tries} times in a row" if self._any_was_ready else "before any was ready"
        message = "; its own message is above" if code > 0 else ""
        logger.error("worker %d ended %s: %s%s", child.number, when, _how(code), message)
        self._given_up = True
        self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            if self._on_stop is not None:
                self._on_stop()
            self._kill(signal.SIGTERM)

    def _kill(self, number: int) -> None:
        # Those that have ended keep their pid until they are waited for, so it is no one else's.
        for child in self._children.values():
            os.kill(child.pid, number)

    def _die(self, number: int) -> NoReturn:
        for each in _STOPS:  # a third one need not wait for a worker that the kernel is keeping
            signal.signal(each, signal.SIG_DFL)
        self._kill(signal.SIGKILL)
        for child in self._children.values():
            os.waitpid(child.pid, 0)
        signal.raise_signal(number)
        os._exit(128 + number)  # the first process of a container survives its own signals


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def _noted_signals() -> Iterator[tuple[int, int]]:
    """Within it, SIGTERM and SIGINT only write their number to this pipe."""
    with _pipe() as pipe:
        os.set_blocking(pipe[1], False)
        before = signal.set_wakeup_fd(pipe[1], warn_on_full_buffer=False)
        handlers = {each: signal.signal(each, lambda *ignored: None) for each in _STOPS}
        # Ignored, or handled by waiting for any child, it would hide how our children ended.
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            yield pipe
        finally:
            signal.set_wakeup_fd(before)
            for each, handler in handlers.items():
                if handler is not None:  # None: not installed by Python, which cannot put it back
                    signal.signal(each, handler)


def _read(fd: int) -> bytes:
    """What there is to read, without waiting for it."""
    readable = select.poll()
    readable.register(fd, select.POLLIN)
    return os.read(fd, 4096) if readable.poll(0) else b""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # There may be none (None, or closed), or nobody who reads it.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals between the first and the last
        return f"killed by signal {-code}"
