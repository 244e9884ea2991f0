"""Echo on Twisted: a Protocol that hands what it receives to its transport, and its Factory."""

from __future__ import annotations

from ready import port_asked_for, say_ready
from twisted.internet import protocol, reactor


class Echo(protocol.Protocol):
    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        self.transport.write(data)


port = reactor.listenTCP(
    port_asked_for(), protocol.Factory.forProtocol(Echo), interface="127.0.0.1"
)
say_ready(port.getHost().port)
reactor.run()
