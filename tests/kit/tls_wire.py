"""TLS without a network: a client in memory, and a hub with one peer and a wire."""

from __future__ import annotations

import contextlib
import ssl

from aionet.core import Peer, Todo
from aionet.core.layer import Layer
from aionet.core.tls import TLSHub
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service


class Client:
    """The far end, in memory. It does nothing unasked."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")
        self.heard = b""
        self.at_end = False

    def shake_hands(self) -> bytes:
        """One step; what is to be sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._out.read()

    def say(self, data: bytes, *, end: bool = False) -> bytes:
        self.tls.write(data)
        if end:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
        return self._out.read()

    def hear(self, wire: bytes) -> None:
        self._in.write(wire)
        try:
            while data := self.tls.read(1 << 20):
                self.heard += data
            self.at_end = True
        except ssl.SSLZeroReturnError:
            self.at_end = True
        except ssl.SSLWantReadError:
            pass

    def learn(self, wire: bytes) -> None:
        """What comes before its handshake is done."""
        self._in.write(wire)


class _Peer(Peer):
    """One that speaks TLS from the start."""

    def __init__(self, hub: TLSHub, context: ssl.SSLContext) -> None:
        super().__init__(hub)
        self._context = context

    def layer(self) -> Layer:
        return Layer(self._context)


class Shell:
    """A hub with one peer, and a wire."""

    def __init__(self, context: ssl.SSLContext, service: Service) -> None:
        self.hub = TLSHub(service, Limits(), Timeouts(), self, places=1, now=0.0)
        self.peer = _Peer(self.hub, context)
        self.wire = b""
        self.todo: list[Todo] = []
        self.hub.admit(self.peer)
        self.settle()

    def wake(self) -> None:
        pass

    def accept(self, more: bool) -> None:
        pass

    def arrive(self, *packets: bytes) -> bytes:
        """What goes over the wire when these have come."""
        for packet in packets:
            if packet:
                self.wire += self.hub.receive_data(self.peer, packet)
                self.settle()
        wire, self.wire = self.wire, b""
        return wire

    def settle(self) -> None:
        while self.peer.dirty:
            self.peer.dirty = False
            self.wire += self.hub.take(self.peer)
            if (todo := self.peer.pop_todo()) is not None:
                self.todo.append(todo)
        extra = self.peer.extra
        if extra is not None and extra.rest is not None:
            self.hub.sent(self.peer, 0)
            self.settle()
