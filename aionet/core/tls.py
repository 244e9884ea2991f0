"""A hub whose peers speak TLS; to its service, and in all else, that is as over TCP.

What a peer shuts, it shuts half (close_notify); what waits for it is still sent, and lingers, and
drains, in the same way as over TCP. The loop's own TLS would know none of this: asyncio's closes
both directions when one has ended, and gives up what has not been read a second later.
"""

from __future__ import annotations

import ssl
from typing import Any

from aionet.core.hub import Hub
from aionet.core.layer import Layer
from aionet.core.peer import NOTHING, Peer, State, extra_of
from aionet.limits import CloseReason


class TLSHub(Hub):
    """As Hub. context: of a server."""

    shakes_hands = True

    def __init__(self, *arguments: Any, context: ssl.SSLContext, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._context = context

    def meet(self, peer: Peer) -> None:
        """First shake hands."""
        extra = extra_of(peer)
        peer.state = State.HANDSHAKE
        extra.tls, extra.since = Layer(self._context), self.now
        early, extra.early = extra.early, b""
        if early:
            extra.tls.later(self.receive_data(peer, early))
            self.touch(peer)
        if extra.ended:
            self.receive_eof(peer)

    def receive_data(self, peer: Peer, data: bytes) -> bytes:
        """`peer` sent `data` over the wire; what is to be written to it at once."""
        extra = peer.extra
        if extra is None or extra.tls is None or peer.closing:
            return super().receive_data(peer, data)
        layer = extra.tls
        peer.seen = self.now
        try:
            plain = layer.receive(data)
            if layer.ready and peer.state is State.HANDSHAKE:
                super().meet(peer)
            out = super().receive_data(peer, plain) if plain else b""
            out = layer.send(out) if out else layer.pending()
        except ssl.SSLError:
            self._break_off(peer, layer)
            return layer.pending()
        if layer.ended:
            super().receive_eof(peer)
        extra.given += len(out)
        return out

    def receive_eof(self, peer: Peer) -> None:
        """The wire has ended, with or without a close_notify."""
        if peer.state is State.HANDSHAKE:
            about, self.about = self.about, peer
            layer = extra_of(peer).tls
            assert layer is not None
            self._break_off(peer, layer)
            self.about = about
        else:
            super().receive_eof(peer)

    def _break_off(self, peer: Peer, layer: Layer) -> None:
        """It broke the protocol: an alert says so, and no more is heard or said."""
        reason = CloseReason.RESET if layer.ready else CloseReason.HANDSHAKE
        peer.reason = peer.reason or reason
        peer.state = State.FLUSHING
        peer.outbox, peer.waiting = NOTHING, 0
        self.talk.forget(peer)
        self.close_now(peer)
        self.sweep.see_off(peer)

    def take(self, peer: Peer) -> bytes:
        """As Hub.take, for the wire; with the last bytes goes the close_notify."""
        plain = self.take_plain(peer)
        extra = peer.extra
        if extra is None or extra.tls is None:
            return plain
        try:
            out = extra.tls.send(plain) if plain else extra.tls.pending()
        except ssl.SSLError:
            self._break_off(peer, extra.tls)
            return b""
        if peer.state is State.FLUSHING:
            out += extra.tls.end()
        extra.given += len(out) - len(plain)
        return out

    def vanish(self, peer: Peer, reason: CloseReason) -> None:
        super().vanish(peer, reason)
        if peer.extra is not None:
            peer.extra.tls = None  # it may be kept by a program, and is large
