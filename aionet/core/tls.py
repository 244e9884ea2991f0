"""A hub whose peers may speak TLS; to its service, and in all else, that is as over TCP.

What a peer shuts, it shuts half (close_notify); what waits for it is still sent, and lingers, and
drains, in the same way as over TCP. The loop's own TLS would know none of this: asyncio's closes
both directions when one has ended, and gives up what has not been read a second later.
"""

from __future__ import annotations

from typing import Any

from aionet.core.hub import Hub
from aionet.core.layer import Layer
from aionet.core.peer import NOTHING, Extra, Peer, State, Todo, extra_of
from aionet.limits import CloseReason

CUT = -1  # the number of the message under way when all there is of it is a part of a record


class TLSHub(Hub):
    """As Hub, for peers that have a layer from the start, or get one later (STARTTLS)."""

    shakes_hands = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receive_plain = super().receive_data

    def meet(self, peer: Peer) -> None:
        """First shake hands, if it speaks TLS."""
        if (layer := peer.layer()) is not None:
            self.secure(peer, layer)
        else:
            super().meet(peer)

    def secure(self, peer: Peer, layer: Layer) -> None:
        """Speak TLS with it from here on, once all that was said before is written.

        See to it afterwards. It is told by `secured`; the service, of one that it has met, nothing.
        """
        extra = extra_of(peer)
        peer.state = State.HANDSHAKE
        if peer.outbox is None:
            peer.outbox = []
        extra.tls = layer
        extra.since = self.now
        self.touch(peer)
        early, extra.early = extra.early, b""
        ended, extra.ended = extra.ended, False
        if early:
            layer.later(TLSHub.receive_data(self, peer, early))  # which was counted before
            self.touch(peer)
        if ended:
            self.receive_eof(peer)

    # What comes.

    def receive_data(self, peer: Peer, data: bytes) -> bytes:
        """`peer` sent `data` over the wire; what is to be written to it at once."""
        extra = peer.extra
        if extra is None or extra.tls is None or peer.closing:
            return self._receive_plain(peer, data)
        peer.seen = self.now
        about, self.about = self.about, peer
        out = self._receive(peer, extra, extra.tls, data)
        self.about = about
        return out

    def _receive(self, peer: Peer, extra: Extra, layer: Layer, data: bytes) -> bytes:
        try:
            plain = layer.receive(data)
            if layer.ready and peer.state is State.HANDSHAKE:
                self._be_ready(peer)
            said = self._receive_plain(peer, plain) if plain else b""
            if layer.cut or extra.message == CUT:
                self._time_record(peer, extra, layer.cut, bool(plain))
            out = layer.send(said) if said and not layer.broken else layer.pending()
        except OSError:
            self._break_off(peer, layer)
            return layer.pending()
        if layer.broken:
            self._break_off(peer, layer)
            return out + layer.pending()
        if layer.ended:
            super().receive_eof(peer)
        extra.given += len(out) - len(said)
        return out

    def _time_record(self, peer: Peer, extra: Extra, cut: bool, new: bool) -> None:
        """A record that has begun is a message, where there is no other under way.

        new: it began later than the one before, which has said something.
        """
        if extra.message is None or extra.message == CUT:
            if new or not cut:
                extra.message = None
            if cut and peer.state is State.OPEN:
                peer.expect(CUT)

    def _be_ready(self, peer: Peer) -> None:
        if peer.met:  # before it spoke TLS
            peer.state = State.OPEN
            self.talk.ease(peer)
        else:
            super().meet(peer)
        peer.secured()

    def receive_eof(self, peer: Peer) -> None:
        """The wire has ended, with or without a close_notify."""
        if peer.state is not State.HANDSHAKE:
            super().receive_eof(peer)
            return
        about, self.about = self.about, peer
        layer = extra_of(peer).tls
        assert layer is not None
        self._break_off(peer, layer)
        self.close_now(peer)
        self.about = about

    def lost(self, peer: Peer, error: Exception | None) -> None:
        """As Hub.lost; in the midst of a handshake that is all there is to say."""
        if peer.state is State.HANDSHAKE:
            peer.reason = peer.reason or CloseReason.HANDSHAKE
        super().lost(peer, error)

    def _break_off(self, peer: Peer, layer: Layer) -> None:
        """It broke the protocol: an alert says so, and no more is heard or said."""
        if peer.state is State.GONE:
            return
        reason = CloseReason.RESET if layer.ready else CloseReason.HANDSHAKE
        peer.reason = peer.reason or reason
        peer.state = State.FLUSHING
        peer.outbox, peer.waiting = NOTHING, 0
        self.talk.forget(peer, rest=True)
        if not layer.ready:
            peer.secured()
        peer.todo = Todo.SHUT_WR  # and no close yet: unread input would make a reset of the alert
        peer.reads = True
        self.touch(peer)
        self.sweep.see_off(peer)

    # What goes.

    def take(self, peer: Peer) -> bytes:
        """As Hub.take, for the wire; with the last bytes goes the close_notify."""
        plain = self.take_plain(peer)
        extra = peer.extra
        if extra is None or extra.tls is None:
            return plain
        layer = extra.tls
        try:
            out = layer.send(plain) if plain else layer.pending()
        except OSError:
            self._break_off(peer, layer)
            return layer.pending()
        if (peer.state is State.FLUSHING or extra.finished) and not peer.outbox:
            out += layer.end()
        extra.given += len(out) - len(plain)
        return out
