"""Twisted: a Protocol for each connection, on its reactor (epoll, its default here).

As its documentation has it: what comes is handed to the transport, which sends it when it can.
Beyond the stock echo, which loses data and grows without bound, three things it documents too:

- the transport is registered as its own producer, so that who does not read is not listened to;
- it is half-closeable, so that a peer which has finished sending still gets its answer;
- datagrams may have 64 KiB; the default of 8 KiB would cut them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import interfaces, protocol, reactor
from zope.interface import implementer

from aionet.command import Serve
from aionet.protocol import Deliveries, Service
from aionet.sockets import RECV_SIZE


@implementer(interfaces.IHalfCloseableProtocol)
class Peer(protocol.Protocol):
    """One connection; its factory has the service."""

    factory: Factory
    transport: Any
    closing = False  # the service has said its last word
    eof = False  # the service knows that the peer has finished

    def connectionMade(self) -> None:  # noqa: N802  Twisted's names
        self.transport.registerProducer(self.transport, True)
        self._deliver(self.factory.service.connect(self))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if not self.closing:
            self._deliver(self.factory.service.receive_data(self, data))

    def readConnectionLost(self) -> None:  # noqa: N802
        self._end()
        self.say_goodbye()

    def writeConnectionLost(self) -> None:  # noqa: N802
        pass

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        self._end()
        self.closing = True

    def _end(self) -> None:
        if not self.eof:
            self.eof = True
            self._deliver(self.factory.service.receive_eof(self))

    def _deliver(self, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            if peer.closing:
                continue
            if data:
                peer.transport.write(data)
                if peer is not self and peer.is_behind():
                    peer.transport.abortConnection()
            else:
                peer.say_goodbye()

    def say_goodbye(self) -> None:
        """Everything is sent before the connection is closed."""
        if not self.closing:
            self.closing = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def is_behind(self) -> bool:
        """Whether it reads slower than others talk."""
        waiting = len(self.transport.dataBuffer) + self.transport._tempDataLen
        return bool(waiting > self.factory.outbox)


class Factory(protocol.Factory):
    protocol = Peer

    def __init__(self, service: Service, outbox: int) -> None:
        self.service = service
        self.outbox = outbox


class Datagrams(protocol.DatagramProtocol):
    def __init__(self, service: Service) -> None:
        self._service = service

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: N802
        for peer, reply in self._service.receive_data(addr, data):
            cast(Any, self.transport).write(reply, peer)


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    loop = cast(Any, reactor)
    sock.setblocking(False)
    service = task.make_service()
    if task.datagrams:
        loop.adoptDatagramPort(sock.fileno(), sock.family, Datagrams(service), RECV_SIZE)
    else:
        loop.adoptStreamPort(sock.fileno(), sock.family, Factory(service, task.limits.outbox))
    sock.close()  # the reactor has a duplicate
    loop.callWhenRunning(ready)
    loop.run()
