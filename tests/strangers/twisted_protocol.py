"""Echo on Twisted: a Protocol that hands what it receives to its transport, and its Factory."""

from __future__ import annotations

import sys

from twisted.internet import protocol, reactor


class Echo(protocol.Protocol):
    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        self.transport.write(data)


reactor.listenTCP(int(sys.argv[1]), protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
reactor.run()
