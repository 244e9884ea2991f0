"""python -m compare.driver.hold: open connections, have each served once, and keep them open.

An Order as JSON in one line on stdin; a Held as JSON in one line on stdout when there is nothing
more to come; the connections then stay until stdin ends.
"""

from __future__ import annotations

import errno
import gc
import itertools
import random
import select
import socket
import sys
from collections.abc import Iterator
from os import read, write
from time import perf_counter_ns as clock

import msgspec

from compare.contract.histogram import encode, fold
from compare.contract.hold import LATE_NS, Held, Order
from compare.contract.spec import Spec, Target
from compare.driver.connect import CONNECT_TIMEOUT_NS, count_failure, open_socket
from compare.driver.load import TICK_NS, Load
from compare.driver.schedule import due_times

AT_ONCE = 256  # connections opened and not answered yet, where no rate is given
QUIET_NS = 5_000_000_000  # nobody was answered for this long: who is not now never will be
MOST = 64 * 1024  # bytes read at a time
NAP_S = 0.001  # between looks at the schedule


class _Newcomer:
    """One connection until it has been served; then only its descriptor is kept."""

    __slots__ = ("due", "holder", "received", "sock", "started")

    def __init__(self, holder: _Holder, due: int) -> None:
        self.holder = holder
        self.due = due
        self.received = b""
        self.started = clock()
        self.sock = open_socket(holder.load.address, next(holder.sources))
        holder.under_way.add(self)
        try:
            self.say()
        except BlockingIOError:
            holder.load.watch(self.sock.fileno(), self.on_connected, select.EPOLLOUT)
        except OSError as error:
            self.fail(error)
        else:
            self.connected()
            holder.load.watch(self.sock.fileno(), self.on_reply)

    def connected(self) -> None:
        self.holder.load.connect_samples.append(clock() - self.started)
        self.holder.load.counts.connected += 1

    def on_connected(self) -> None:
        load = self.holder.load
        if code := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.fail(OSError(code, ""))
            return
        self.connected()
        load.handlers[self.sock.fileno()] = self.on_reply
        load.epoll.modify(self.sock.fileno(), select.EPOLLIN)
        try:
            self.say()
        except OSError as error:
            self.fail(error)

    def say(self) -> None:
        """Its one message. Raises BlockingIOError while it is not connected, and OSError."""
        write(self.sock.fileno(), self.holder.message)

    def hear(self) -> bytes:
        """What it is told. Raises BlockingIOError where that is nothing yet, and OSError."""
        return read(self.sock.fileno(), len(self.holder.message) + 1)

    def on_reply(self) -> None:
        holder = self.holder
        try:
            data = self.hear()
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        self.received += data
        if self.received == holder.message:
            now = clock()
            holder.load.samples.append(now - self.due)
            holder.last_answer = now
            holder.load.counts.served += 1
            self.leave(keep=True)
        elif not data:
            holder.load.errors["eof"] += 1
            self.leave()
        elif not holder.message.startswith(self.received):
            holder.load.wrong(holder.message, self.received)
            self.leave()

    def fail(self, error: OSError) -> None:
        count_failure(self.holder.load, error.errno or 0)
        self.leave()

    def leave(self, *, keep: bool = False) -> None:
        holder = self.holder
        holder.under_way.discard(self)
        if holder.load.handlers.pop(self.sock.fileno(), None):
            holder.load.epoll.unregister(self.sock.fileno())
        if keep:
            holder.kept.append(self.sock.detach())
        else:
            self.sock.close()


class _Encrypted(_Newcomer):
    """The same over TLS: it shakes hands first. A socket has room for so little."""

    __slots__ = ("hello", "tls")

    def __init__(self, holder: _Holder, due: int) -> None:
        assert holder.load.tls is not None
        self.tls = holder.load.tls.begin()
        self.hello = self.tls.pending()
        super().__init__(holder, due)

    def say(self) -> None:
        write(self.sock.fileno(), self.hello)

    def hear(self) -> bytes:
        wire = read(self.sock.fileno(), MOST)
        was_ready = self.tls.ready
        said = self.tls.opened(wire)
        if not was_ready:
            out = self.tls.pending()
            if self.tls.ready:
                out += self.tls.sealed(self.holder.message)
            if out:
                write(self.sock.fileno(), out)
        if wire and not said and not self.tls.ended:
            raise BlockingIOError
        return said


class _Holder:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.load = Load(_spec(order), Target(order.host, order.port))
        if order.rate is not None:
            self.load.nap_s = NAP_S
        self.message = random.Random(order.seed).randbytes(order.size)
        addresses: list[str | None] = [*order.sources] or [None]
        self.sources: Iterator[str | None] = itertools.cycle(addresses)
        self._kind = _Encrypted if order.tls else _Newcomer
        self.under_way: set[_Newcomer] = set()
        self.kept: list[int] = []
        self.last_answer = self.began = clock()
        self.late = 0
        self.stopped: str | None = None
        self._dues = (
            None if order.rate is None else due_times(self.began, order.rate, "fixed", order.seed)
        )
        self._due = next(self._dues) if self._dues else 0

    def hold(self) -> Held:
        while not self._finished():
            self.load.run(TICK_NS / 1e9, self._tick, done=self._begin_more)
        counts = self.load.counts
        counts.starved = len(self.under_way)
        return Held(
            counts=counts,
            errors=dict(self.load.errors),
            details=self.load.details,
            connect=encode(fold(self.load.connect_samples)),
            first_reply=encode(fold(self.load.samples)),
            late=self.late,
            took_ns=self.last_answer - self.began,
            stopped=self.stopped,
        )

    @property
    def _all_begun(self) -> bool:
        return bool(self.stopped) or self.load.counts.attempted >= self.order.connections

    def _finished(self) -> bool:
        if self._all_begun and not self.under_way:
            return True
        waits_for_us = self._dues is not None and not self._all_begun
        return not waits_for_us and clock() - self.last_answer > QUIET_NS

    def _begin_more(self) -> bool:
        """Open what is due, or as many as may be under way; never done by itself."""
        now = clock()
        while not self._all_begun:
            if self._dues is None:
                if len(self.under_way) >= AT_ONCE:
                    break
                self._begin(now)
            else:
                if self._due > now:
                    break
                self.late += now - self._due > LATE_NS
                self._begin(self._due)
                self._due = next(self._dues)
                now = clock()
        return self._finished()

    def _begin(self, due: int) -> None:
        counts = self.load.counts
        counts.attempted += 1
        try:
            self._kind(self, due)
        except OSError as error:
            count_failure(self.load, error.errno or 0)
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS):
                self.stopped = errno.errorcode[error.errno]

    def _tick(self, now: int) -> None:
        """Give up who is not even connected."""
        for each in [*self.under_way]:
            handler = self.load.handlers.get(each.sock.fileno())
            if handler == each.on_connected and now - each.started > CONNECT_TIMEOUT_NS:
                self.load.counts.timed_out += 1
                each.leave()


def _spec(order: Order) -> Spec:
    return Spec(
        workload="hold",
        targets=[],
        connections=order.connections,
        size=order.size,
        warmup_s=0,
        slice_s=0,
        seed=order.seed,
        tls=order.tls,
    )


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    gc.disable()
    held = _Holder(order).hold()
    sys.stdout.buffer.write(msgspec.json.encode(held) + b"\n")
    sys.stdout.buffer.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
