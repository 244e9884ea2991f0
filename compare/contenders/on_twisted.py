"""Twisted: a Protocol for each connection, on its reactor (epoll, its default here).

As its documentation has it: what comes is handed to the transport, which sends it when it can.
Beyond the stock echo, which loses data and grows without bound, three things it documents too:

- each connection is the producer of its transport, which tells it when its buffer is full, so that
  who does not read is not listened to;
- it is half-closeable, so that a peer which has finished sending still gets its answer;
- datagrams may have 64 KiB; the default of 8 KiB would cut them.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import interfaces, protocol, reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, MessageLengthError
from zope.interface import implementer

from aionet.command import Serve
from aionet.core import Todo
from aionet.sockets import RECV_SIZE
from compare.contenders import connection
from compare.contenders.answers import Answers

loop = cast(Any, reactor)


@implementer(interfaces.IHalfCloseableProtocol, interfaces.IPushProducer)
class Connection(connection.Connection, protocol.Protocol):
    """One connection. full: the transport's buffer is, and the hub keeps what else there is."""

    transport: Any
    full = False

    def connectionMade(self) -> None:  # noqa: N802  Twisted's names
        self.sock = self.transport.getHandle()
        self.transport.registerProducer(self, True)
        self.hub.admit(self)
        self.settle()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if out := self.hub.receive_data(self, data):
            self._write(out)
        self.settle()

    def readConnectionLost(self) -> None:  # noqa: N802
        self.hub.receive_eof(self)
        self.settle()

    def writeConnectionLost(self) -> None:  # noqa: N802
        pass

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self.hub.lost(self, None if reason.check(ConnectionDone) else reason.value)

    def pauseProducing(self) -> None:  # noqa: N802
        self.full = True
        self.hub.sent(self, self.hub.limits.write_buffer + 1)  # nobody says how much it is

    def resumeProducing(self) -> None:  # noqa: N802
        self.full = False
        self.hub.sent(self, 0)
        self.dirty = True  # something may have waited for this
        self.settle()

    def stopProducing(self) -> None:  # noqa: N802
        pass

    def settle(self) -> None:
        """Write what there is, do what is to be done, and read on or not."""
        while self.dirty:
            self.dirty = False
            if not self.full and (data := self.hub.take(self)):
                self._write(data)
            if (todo := self.pop_todo(self.full)) is not None:
                self._do_all(todo)
            if self.reads:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _write(self, data: bytes) -> None:
        self.transport.write(data)
        if not self.full:
            self.hub.sent(self, 0)

    def _do_all(self, todo: str) -> None:
        if todo is Todo.SHUT_RD:
            self.do(todo)
        else:
            self.transport.unregisterProducer()  # or it is waited for
            if todo is Todo.SHUT_WR:
                self.transport.loseWriteConnection()
            else:
                self.transport.loseConnection()

    def close(self) -> None:
        self.transport.abortConnection()


class Server(protocol.Factory):
    """Serves a service."""

    def __init__(self, task: Serve) -> None:
        self.hub = connection.hub_of(task, self, time.monotonic())
        self._timeout = task.timeouts.drain
        self._ended: Deferred[None] = Deferred()
        self._tick()

    def buildProtocol(self, addr: Any) -> Connection:  # noqa: N802
        return Connection(self.hub)

    def wake(self) -> None:
        loop.callLater(0, self._settle)

    def _settle(self) -> None:
        dirty, self.hub.dirty = self.hub.dirty, []
        for conn in dirty:
            conn.settle()

    def accept(self, more: bool) -> None:
        """As Shell.accept: who comes when there is no place waits for one."""

    def _tick(self) -> None:
        loop.callLater(self.hub.tick(time.monotonic()), self._tick)
        if self.hub.draining and not self.hub.open and not self._ended.called:
            self._ended.callback(None)

    def drain(self) -> Deferred[None]:
        """Treat every peer as having finished sending; reset who is not done in time.

        A second signal is left to the kernel.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self.hub.drain()
        loop.callLater(self._timeout, self.hub.end)
        return self._ended


class Datagrams(protocol.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: N802
        for peer, reply in self._answers.to(addr, data):
            # No way there, or too long for a datagram: that peer's loss.
            with contextlib.suppress(OSError, MessageLengthError):
                cast(Any, self.transport).write(reply, peer)


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None], tls: None) -> None:
    sock.setblocking(False)
    if task.datagrams:
        answers = Datagrams(Answers(task, sock))
        loop.adoptDatagramPort(sock.fileno(), sock.family, answers, RECV_SIZE)
    else:
        server = Server(task)
        listening = loop.adoptStreamPort(sock.fileno(), sock.family, server)
        loop.addSystemEventTrigger("before", "shutdown", listening.stopListening)
        loop.addSystemEventTrigger("before", "shutdown", server.drain)
        sock.close()  # the reactor has a duplicate
    loop.callWhenRunning(ready)
    with sock:  # by which datagrams are answered
        loop.run()
