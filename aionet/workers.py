"""Worker processes: as many as were asked for, all the time, until told to stop.

They are forked, not spawned: what they run need not be importable, and nothing is pickled. The
price is fork(2)'s: only the calling thread exists in a child, so a lock that another one held
stays locked there. Call `supervise` before starting threads.

The parent waits for three things in one poll(2), and for nothing else but its own deadlines: the
end of a worker (its pidfd), what workers report (a pipe that all share), a signal (the pipe of
set_wakeup_fd).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from aionet.native import signal_when_parent_dies
from aionet.supervised import RECORD, RETIRE, Supervised

START_S = 1.0  # whoever ends sooner did not start: starting others at once would keep a core busy
RETRY_S = (0.1, 30.0)  # to wait for before another start: first, doubled each time, and at most

_STOPS = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*_STOPS, signal.SIGHUP)  # by who replaces workers
_PAGE = 4096

logger = logging.getLogger(__name__)


def supervise(
    work: Callable[[Supervised], int],
    count: int,
    *,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None] | None = None,
    on_report: Callable[[int, bytes], None] | None = None,
    on_end: Callable[[int], None] | None = None,
    stop_timeout: float = math.inf,
    replaceable: bool = False,
    start_timeout: float = math.inf,
) -> int:
    """Run `work` in `count` processes until SIGTERM or SIGINT; returns the exit status.

    on_ready: called here, once, when all are ready. on_stop: once, before they are told to stop.
    on_report: for what a worker reports, with its pid; padded with zeros. on_end: when a worker
        has ended, with its pid.
    stop_timeout: seconds after which a worker that was told to stop, and has not, is killed.

    replaceable: SIGHUP replaces them one after the other: another one is started beside it, and
        when that is ready the old one gets RETIRE; if it does not get ready, within start_timeout,
        the old one goes on.

    A worker that ends unasked is replaced, whatever its status: at once if it was ready and
    START_S old, else after a while that grows with each such end in a row, up to RETRY_S. Only if
    none was ready yet this is given up. The status is 1 then, and if one ended badly when it was
    asked to. A second signal kills the workers and then the caller.

    For the main thread, as signal handlers are; those of the caller are put back. An OSError
    (no more processes, no more descriptors) stops all workers before it is raised.
    """
    if count < 1:
        raise ValueError(f"count is {count}; there must be at least 1 worker")
    parent = _Parent(work, count, on_ready, on_stop, on_report, on_end, stop_timeout)
    parent.heard = _HEARD if replaceable else _STOPS
    parent.start_timeout = start_timeout
    return parent.run()


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    started: float
    ready: bool = False
    killed: bool = False  # by us, because it did not stop
    replaces: _Child | None = None  # which goes on until this one is ready
    told: bool = False  # to stop
    kill_at: float = math.inf

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"


class _Parent:
    """The workers that there are, and what is to happen when one ends. heard: signals."""

    heard: tuple[int, ...] = _STOPS
    start_timeout = math.inf

    def __init__(
        self,
        work: Callable[[Supervised], int],
        count: int,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None] | None,
        on_report: Callable[[int, bytes], None] | None,
        on_end: Callable[[int], None] | None,
        stop_timeout: float,
    ) -> None:
        self._work = work
        self._count = count
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_stop = on_stop
        self._on_report = on_report
        self._on_end = on_end
        self._stop_timeout = stop_timeout
        self._children: dict[int, _Child] = {}  # by pidfd
        self._tries: dict[int, int] = {}  # by number: how many in a row did not start
        self._due: dict[int, float] = {}  # by number: when another is to be started
        self._to_replace: list[int] = []  # numbers
        self._poll = select.poll()
        self._any_was_ready = False
        self._signalled = False
        self._stopping = False
        self._given_up = False
        self._ended_badly = False

    def run(self) -> int:
        noted = _noted_signals(self.heard, self._hear)
        with _pipe() as self._life, _pipe() as self._reports, noted as self._signals:
            os.set_blocking(self._reports[1], False)
            for fd in (self._reports[0], self._signals[0]):
                self._poll.register(fd, select.POLLIN)
            try:
                for number in range(self._count):
                    self._start(number)
                self._wait()
            finally:
                self._stop()
                self._wait()
        return int(self._given_up or self._ended_badly)

    def _start(self, number: int, replaces: _Child | None = None) -> None:
        _flush()  # or the child would write it once more
        parent = os.getpid()
        # A signal to the child must not be noted in the parent's pipe, which it still has.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.heard)
        try:
            pid = os.fork()
            if not pid:
                self._become_worker(number, mask, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        child = _Child(number, pid, time.monotonic(), replaces=replaces)
        if replaces is not None:
            child.kill_at = child.started + self.start_timeout
        self._children[pidfd] = child
        self._poll.register(pidfd, select.POLLIN)

    def _become_worker(self, number: int, mask: set[int], parent: int) -> NoReturn:
        """The child's whole life. It must not return: the code above is the parent's."""
        status = 1
        try:
            signal_when_parent_dies(signal.SIGKILL, parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if signal.SIGHUP in self.heard:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's reaches the parent, too
            # Were a sibling to keep the writing end of `life`, nobody would see the parent die.
            for fd in (self._life[1], self._reports[0], *self._signals, *self._children):
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # The module `random` seeds itself anew after a fork.
            sys.exit(self._work(Supervised(number, self._life[0], self._reports[1])))
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
        """Attend to the workers until there are none, and are to be none."""
        while self._children or self._due:
            kills = [child.kill_at for child in self._children.values()]
            deadline = min(*kills, *self._due.values(), math.inf)
            left = max(0.0, deadline - time.monotonic())
            events = self._poll.poll(None if left == math.inf else math.ceil(left * 1000))
            # In this order: what is stopping is not replaced, what was ready had started.
            self._read_signals()
            self._read_reports()
            for fd, _ in events:
                if fd in self._children:
                    self._bury(fd)
            self._do_what_is_due()

    def _hear(self, number: int, frame: object) -> None:
        """The second ends all at once, also if whom we call here does not return."""
        if number not in _STOPS:
            return
        if self._signalled:
            self._die(number)
        self._signalled = True

    def _read_signals(self) -> None:
        heard = _read(self._signals[0])
        if any(number in _STOPS for number in heard):
            self._stop()
        elif signal.SIGHUP in heard and self._any_was_ready and not self._stopping:
            self._to_replace = list(range(self._count))

    def _read_reports(self) -> None:
        by_pid = {child.pid: child for child in self._children.values()}
        while page := _read(self._reports[0]):
            for pid, ready, what in RECORD.iter_unpack(page):
                child = by_pid.get(pid)
                if child is None:
                    continue
                if ready:
                    child.ready = self._any_was_ready = True
                    if child.replaces is not None:
                        self._tell_to_stop(child.replaces, RETIRE)
                        child.replaces = None
                        child.kill_at = math.inf
                elif self._on_report:
                    self._on_report(child.pid, what)
        ready = sum(child.ready for child in self._children.values())
        if self._on_ready and not self._stopping and ready == self._count:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def _bury(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if self._on_end:
            self._on_end(child.pid)
        if self._stopping or child.told:
            # A worker may have been asked before it had made arrangements for SIGTERM.
            if code not in (0, -signal.SIGTERM) and not self._given_up:
                self._ended_badly |= self._stopping
                if not child.killed:
                    logger.warning("%s was asked to stop: %s", child, _how(code))
            return
        if not self._any_was_ready:
            message = "; its own message is above" if code > 0 else ""
            why = f"{_how(code)}{message}"
            logger.error("worker %d ended before any was ready: %s", child.number, why)
            self._given_up = True
            self._stop()
            return
        if child.replaces is not None:
            self._to_replace.clear()
            logger.error(
                "%s was to replace %s, and ended: %s; those that there are go on",
                *(child, child.replaces, _how(code)),
            )
            return
        for each in self._children.values():
            if each.replaces is child:
                each.replaces = None  # it was to be the next one anyway
                each.kill_at = math.inf
                logger.warning("%s ended: %s; another is on its way", child, _how(code))
                return
        self._replace(child, code)

    def _replace(self, child: _Child, code: int) -> None:
        started = child.ready and time.monotonic() - child.started >= START_S
        tries = self._tries[child.number] = 0 if started else self._tries.get(child.number, 0) + 1
        first, most = RETRY_S
        delay = min(first * 2.0 ** min(tries - 1, 60), most) if tries else 0.0
        when = f" in {delay:g} s" if tries > 1 else ""
        logger.warning("%s ended: %s; starting another%s", child, _how(code), when)
        self._due[child.number] = time.monotonic() + delay

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, when in self._due.items() if when <= now]:
            del self._due[number]
            self._start(number)
        self._replace_next()
        for child in self._children.values():
            if child.kill_at <= now:
                child.kill_at, child.killed = math.inf, True
                if child.told:
                    logger.error("%s has not stopped in %g s: killed", child, self._stop_timeout)
                else:
                    limit = self.start_timeout
                    logger.error("%s is not ready after %g s: killed", child, limit)
                os.kill(child.pid, signal.SIGKILL)

    def _replace_next(self) -> None:
        """One at a time: when no other is being replaced, and no old one is still there."""
        all_ready = all(child.ready for child in self._children.values())
        if self._to_replace and len(self._children) == self._count and all_ready:
            number = self._to_replace.pop(0)
            for old in list(self._children.values()):
                if old.number == number:
                    self._start(number, replaces=old)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._due.clear()
            self._to_replace.clear()
            if self._on_stop is not None:
                self._on_stop()
            for child in self._children.values():
                self._tell_to_stop(child)

    def _tell_to_stop(self, child: _Child, number: int = signal.SIGTERM) -> None:
        # One that has ended keeps its pid until it is waited for, so it is no one else's.
        child.told = True
        os.kill(child.pid, number)
        limit = self._stop_timeout * (2 if number == RETIRE else 1)
        child.kill_at = min(child.kill_at, time.monotonic() + limit)

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
def _noted_signals(
    numbers: tuple[int, ...], hear: Callable[[int, object], None]
) -> Iterator[tuple[int, int]]:
    """Within it, these signals write their number to this pipe, and call `hear`."""
    with _pipe() as pipe:
        os.set_blocking(pipe[1], False)
        before = signal.set_wakeup_fd(pipe[1], warn_on_full_buffer=False)
        handlers = {each: signal.signal(each, hear) for each in numbers}
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
    return os.read(fd, _PAGE) if readable.poll(0) else b""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # There may be none (None, or closed), or nobody who reads it.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    if code == -signal.SIGALRM:
        return "its loop hung, and its watchdog killed it (SIGALRM)"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals between the first and the last
        return f"killed by signal {-code}"
