"""Peers of a hub with a kernel between, all in memory: a shell as it should be."""

from __future__ import annotations

from typing import Any

from aionet.core import Hub, Peer, Todo
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service

KIB = 1024
KERNEL = 8 * KIB  # the kernel takes what the peer reads, and so much more


class Far(Peer):
    """A peer, and what its kernel and ours hold.

    said: what it has sent. coming: of that, what was not read yet. finished: so has it, or nothing
    more is taken from it. received: what it has read. owes: what is on the way to it.
    far: there is a connection. broken: by the peer, or the network.
    """

    __slots__ = (
        "at_end",
        "broken",
        "coming",
        "ends",
        "far",
        "finished",
        "held",
        "number",
        "owes",
        "read_eof",
        "received",
        "said",
        "told",
        "was_reset",
    )

    def __init__(self, hub: Hub, number: int) -> None:
        super().__init__(hub)
        self.number = number
        self.said = self.received = self.owes = b""
        self.coming: list[bytes] = []
        self.finished = self.read_eof = self.at_end = self.was_reset = False
        self.held = self.broken = False
        self.told = 0  # unsent bytes that the hub knows of
        self.ends = 0
        self.far = True

    @property
    def address(self) -> Any:
        return (f"192.0.2.{self.number % 2}", 7)

    def unacked(self) -> int:
        return len(self.owes)

    def unsent(self) -> int:
        return max(0, len(self.owes) - KERNEL)

    def gone(self) -> None:
        self.ends += 1


class Network:
    """The shell of a hub. Peers with an even number are told of all that is taken, as by our own
    pollers, the others only when nothing is left, as by the loops.
    """

    def __init__(self, service: Service, limits: Limits, timeouts: Timeouts, places: int) -> None:
        self.time = 0.0
        self.accepting = True
        self.far: list[Far] = []
        self._woken = False
        self._soon: list[Far] = []
        self.hub = Hub(service, limits, timeouts, self, places=places, now=0.0)

    # As a shell.

    def wake(self) -> None:
        self._woken = True

    def accept(self, more: bool) -> None:
        assert more is not self.accepting
        self.accepting = more

    def settle(self) -> None:
        """Until nothing is left to be done."""
        while self.hub.dirty or self._soon or any(map(self._can_be_read, self.far)):
            assert self._woken or not self.hub.dirty
            self._woken = False
            dirty, self.hub.dirty = self.hub.dirty, []
            for peer in dirty:
                self.see_to(peer)
            soon, self._soon = self._soon, []
            for peer in soon:
                if peer.far:
                    self.hub.sent(peer, peer.unsent())
                    self.see_to(peer)
            for peer in self.far:
                if self._can_be_read(peer):
                    self.read_from(peer)

    def _can_be_read(self, peer: Far) -> bool:
        more = peer.coming or (peer.finished and not peer.read_eof)
        return bool(more and peer.far and peer.reads)

    def read_from(self, peer: Far, *, once_more: bool = False) -> None:
        """One read from its socket."""
        assert peer.reads or once_more
        if peer.coming:
            self._write(peer, self.hub.receive_data(peer, peer.coming.pop(0)))
        elif peer.finished and not peer.read_eof:
            peer.read_eof = True
            self.hub.receive_eof(peer)
        self.see_to(peer)

    def _write(self, peer: Far, data: bytes) -> None:
        if data and peer.far:
            assert not peer.at_end, "written after the end"
            peer.owes += data
            if peer.unsent():
                self._tell(peer)

    def _tell(self, peer: Far) -> None:
        peer.told = peer.unsent()
        self.hub.sent(peer, peer.told)

    def see_to(self, peer: Far) -> None:
        while peer.dirty:
            peer.dirty = False
            data = self.hub.take(peer)
            self._write(peer, data)
            if data and not peer.unsent() and peer.extra is not None and peer.extra.rest:
                self._soon.append(peer)
            todo = peer.pop_todo()
            if todo is not None and peer.far:
                self._do(peer, todo)

    def _do(self, peer: Far, todo: str) -> None:
        if todo is Todo.RESET:
            peer.was_reset, peer.far, peer.owes = True, False, b""
        elif todo is Todo.CLOSE:
            # What has not been acknowledged may be lost to a reset, if anything can still come.
            assert not peer.owes or peer.read_eof
            peer.at_end, peer.far = True, False
            self.hub.lost(peer, None)
        elif todo is Todo.SHUT_WR:
            assert not peer.at_end
            peer.at_end = True
        else:
            peer.finished = True

    # What happens.

    def connect(self) -> Far:
        peer = Far(self.hub, len(self.far))
        self.far.append(peer)
        self.hub.admit(peer)
        self.see_to(peer)
        self.settle()
        return peer

    def arrive(self, peer: Far, *pieces: bytes) -> None:
        if not peer.finished:
            peer.said += b"".join(pieces)
            peer.coming += pieces
        self.settle()

    def finish(self, peer: Far) -> None:
        peer.finished = True
        self.settle()

    def break_off(self, peer: Far, error: Exception | None) -> None:
        peer.far, peer.broken = False, True
        self.hub.lost(peer, error)
        self.see_to(peer)
        self.settle()

    def read(self, peer: Far, size: int) -> None:
        """The peer reads so much of what has come to it."""
        peer.received += peer.owes[:size]
        peer.owes = peer.owes[size:]
        if peer.far and peer.told and (not peer.unsent() or peer.number % 2 == 0):
            self._tell(peer)
            self.see_to(peer)
        self.settle()

    def drive(self, peer: Far) -> bool:
        """Have the peer read all, and finish; whether anything came of it."""
        before = (peer.state, peer.finished, peer.coming[:], peer.owes)
        if peer.far:
            self.read(peer, len(peer.owes))
            self.finish(peer)
        return before != (peer.state, peer.finished, peer.coming, peer.owes)

    def pass_time(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            self.time += self.hub.tick(self.time)
            self.settle()
