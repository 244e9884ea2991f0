"""What the peers of a server share, and what happens to them: from their arrival to their end."""

from __future__ import annotations

import errno
from math import inf
from typing import Protocol

from aionet.core.peer import CLOSING, NOTHING, Peer, State, Todo, extra_of
from aionet.core.places import Places
from aionet.core.sweep import Sweep
from aionet.core.talk import Talk
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol.service import Deliveries, Service

_DONE, _EOF = CloseReason.DONE, CloseReason.EOF  # to look a member up takes longer than all else
EARLY = 512 * 1024  # more than that of who is not listened to is no accident of one read too many


class Shell(Protocol):
    """Who does the I/O."""

    def wake(self) -> None:
        """`Hub.dirty` is no longer empty: look at it soon, after what is under way."""

    def accept(self, more: bool) -> None:
        """Whether newcomers are to be accepted, or wait in the kernel's backlog."""


class Hub:
    """All connections of a server, and what becomes of each.

    A shell tells it what happens: `admit`, `receive_data`, `receive_eof`, `sent`, `lost`, and in
    time `tick`. After each of these it sees to the peer that it was about, if that is dirty, and
    soon to all that are in `dirty`: it writes what `take` gives, until that is nothing more, does
    what `pop_todo` gives, and reads if `reads`. No call raises, whatever a service does, and none
    may be made in another one.

    now: the time as of the last tick. A clock for each message would cost more than it is worth.
    places: how many are served at a time. closed: by the reason of their end. received_bytes,
    sent_bytes: over the wire, if they are counted.
    """

    shakes_hands = False  # before it talks

    def __init__(
        self,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        shell: Shell,
        *,
        places: int,
        now: float,
        hooks: Hooks | None = None,
    ) -> None:
        self.service = service
        self.limits = limits
        self.timeouts = timeouts
        self.hooks = hooks or Hooks()
        self.now = now
        self.draining = False
        self.accepted = 0
        self.closed = dict.fromkeys(CloseReason, 0)
        self.received_bytes = self.sent_bytes = 0
        self.open: list[Peer] = []  # in no order; each knows its index
        self.dirty: list[Peer] = []
        self.about: Peer | None = None  # the shell's call is; it will see to that in any case
        self.shell = shell
        self._wake = shell.wake
        self.talk = Talk(self)
        self._ask = self.talk.ask
        self._answer = self.talk.answer
        self.places = Places(self, shell, places)
        self.sweep = Sweep(self)
        self._step_at = now  # of the sweep
        self._ticks = {part: now + every for part in service._parts if (every := part.tick_every)}

    # What comes.

    def admit(self, peer: Peer) -> None:
        """A connection was accepted: it gets a place, or waits for one, or is reset."""
        self.about = peer
        self.accepted += 1
        peer.index = len(self.open)
        self.open.append(peer)
        if self.draining:
            self.reset(peer, CloseReason.DRAIN)
        elif peer.is_unknown():
            self.reset(peer, CloseReason.RESET)
        else:
            self.places.admit(peer)
        self.about = None

    def begin(self, peer: Peer) -> None:
        """There is a place for it, for which it may have waited."""
        peer.seen = self.now
        peer.reads = True
        if self.draining:
            peer.reason = CloseReason.DRAIN
            peer.todo = Todo.SHUT_RD
        self.touch(peer)
        self.meet(peer)
        self.talk.catch_up(peer)

    def meet(self, peer: Peer) -> None:
        """Let the service meet it."""
        peer.state = State.OPEN
        peer.outbox = None
        peer.met = True
        if self.talk.greets:
            self.talk.call(peer, self.service.connect)

    def receive_data(self, peer: Peer, data: bytes) -> bytes:
        """`peer` sent `data`; what is to be written to it at once."""
        peer.seen = self.now
        if peer.outbox is not None:
            return self._receive_otherwise(peer, data)
        try:
            answer = self._ask(peer, data)
        except BaseException:
            return self.talk.fail(peer)
        if answer.__class__ is bytes:
            return answer
        return self._answer(peer, answer) if answer is not None else b""

    def _receive_otherwise(self, peer: Peer, data: bytes) -> bytes:
        """Something waits for it, or it is not open."""
        if peer.state is State.OPEN and peer.reads:
            try:
                answer = self._ask(peer, data)
            except BaseException:
                return self.talk.fail(peer)
            return self._answer(peer, answer)
        if peer.state in (State.OPEN, State.WAITING):  # the shell read once more than it should
            extra = extra_of(peer)
            extra.early += data
            self.about = peer
            self.touch(peer)
            if len(extra.early) > EARLY:
                self.reset(peer, CloseReason.OVERSIZE)
            self.about = None
        return b""

    def receive_eof(self, peer: Peer) -> None:
        """`peer` has finished sending."""
        about, self.about = self.about, peer
        peer.seen = self.now
        if peer.state is State.OPEN:
            extra = peer.extra
            if extra is not None and (extra.rest is not None or extra.paused or extra.early):
                extra.ended = True
            elif self.draining and self.talk.turns.paused:
                extra_of(peer).ended = True  # not before it has heard what others are saying
            else:
                self.talk.end(peer)
        elif peer.state is State.WAITING:
            extra_of(peer).ended = True
        elif peer.state is State.FLUSHING or peer.state is State.LINGERING:
            self.close_now(peer)
        self.about = about

    def lost(self, peer: Peer, error: Exception | None) -> None:
        """There is no connection any more. error: what the kernel said, if it was no clean end."""
        if peer.state is not State.GONE:
            self.about = peer
            self.vanish(peer, _EOF if error is None else _reason_of(error))
            self.about = None

    # What goes.

    def take_plain(self, peer: Peer) -> bytes:
        """All that has been said to `peer` and not been taken before."""
        parts = peer.outbox
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        peer.waiting = 0
        peer.seen = self.now
        extra = peer.extra
        if extra is None and peer.state is State.OPEN:
            peer.outbox = None
        else:
            peer.outbox = []
            if extra is not None:
                extra.given += len(data)
                if peer.reads or extra.rest is not None or peer.state is not State.OPEN:
                    self.talk.ease(peer)
                else:  # the kernel may take all of it, and nobody will say so
                    self.talk.catch_up(peer)
        return data

    # All that is to be written to `peer` now; what the kernel does not take, a shell keeps.
    take = take_plain

    def sent(self, peer: Peer, unsent: int) -> None:
        """The kernel has taken all but `unsent` bytes of what was taken for `peer`."""
        if peer.state is State.GONE or (peer.extra is None and not unsent):
            return
        self.about = peer
        extra = extra_of(peer)
        before, extra.unsent = extra.unsent, unsent
        if unsent != before:  # that it still takes nothing is no sign of life
            peer.seen = self.now
        if before and not unsent:
            extra.base_at = -1.0  # the kernel was full, and has taken all: who reads is not slow
        if unsent and peer.outbox is None:
            peer.outbox = []
        self.talk.catch_up(peer)
        self.about = None
        if before and not self.is_full(peer):
            peer.writable()

    def is_full(self, peer: Peer) -> bool:
        """Whether more than Limits.write_buffer waits for it."""
        unsent = peer.extra.unsent if peer.extra is not None else 0
        return peer.waiting + unsent > self.limits.write_buffer

    def touch(self, peer: Peer) -> None:
        """The shell has to see to it."""
        if not peer.dirty:
            peer.dirty = True
            if peer is not self.about:
                if not self.dirty:
                    self._wake()
                self.dirty.append(peer)

    # What the program wants.

    def send(self, peer: Peer, data: bytes) -> None:
        """Send `data` to `peer` though nobody has spoken. See to it afterwards."""
        about, self.about = self.about, peer
        self.talk.put(peer, data)
        self.about = about

    def deliver(self, deliveries: Deliveries) -> None:
        """Carry them out though nobody has spoken. Raises what making them raises."""
        self.talk.deliver(deliveries)

    def finish(self, peer: Peer) -> None:
        """Say that nothing more comes, after all that was said, and go on hearing it (half-close).

        It is to be called outside of the service. See to it afterwards.
        """
        if peer.state is State.HALF_CLOSED:
            self.close(peer)
        elif peer.state is State.OPEN:
            extra_of(peer).finished = True
            if peer.outbox is None:
                peer.outbox = []
            if peer.todo is not Todo.SHUT_RD:  # after which comes the same
                peer.todo = Todo.SHUT_WR
            self.touch(peer)

    def hold(self, peer: Peer, held: bool) -> None:
        """Whether nothing more is wanted from `peer` for now."""
        if held or peer.extra is not None:
            extra_of(peer).held = held
            self.talk.catch_up(peer)

    def close(self, peer: Peer, reason: CloseReason = _DONE) -> None:
        """Close once all is sent, and not before the peer has had time to close, too.

        A close with unread input would be a reset, and a reset may overtake the last bytes sent
        (RFC 1122, 4.2.2.13).
        """
        if peer.state in CLOSING:
            return
        half_closed = peer.state is State.HALF_CLOSED
        if half_closed and reason is _DONE:
            reason = _EOF
        peer.reason = peer.reason or reason
        peer.state = State.FLUSHING
        if peer.outbox is None:
            peer.outbox = NOTHING
        elif peer.outbox:
            extra_of(peer)  # so that nobody adds to it: Talk._put_to_many
        if peer.extra is not None:
            self.talk.forget(peer)
        if half_closed:
            peer.todo = Todo.CLOSE
        else:
            peer.todo = Todo.SHUT_WR
            peer.reads = True  # so that its end is seen
        self.touch(peer)
        self.sweep.see_off(peer)

    def expire(self, peer: Peer, reason: CloseReason) -> None:
        """It took too long: no last words, and no waiting for what it does not read."""
        if peer.outbox or peer.unacked():
            self.reset(peer, reason)
            return
        peer.reason = peer.reason or reason
        peer.state = State.FLUSHING
        peer.outbox = NOTHING
        self.talk.forget(peer)
        self.close_now(peer)

    def close_now(self, peer: Peer) -> None:
        peer.reads = False
        peer.todo = Todo.CLOSE
        self.touch(peer)

    def reset(self, peer: Peer, reason: CloseReason) -> None:
        """End it at once, whatever is pending in our buffers or the kernel's."""
        if peer.state is not State.GONE:
            peer.todo = Todo.RESET
            self.touch(peer)
            self.vanish(peer, reason)

    def vanish(self, peer: Peer, reason: CloseReason) -> None:
        """It is gone. Its index goes to the last one of all."""
        peer.reason = peer.reason or reason
        peer.state = State.GONE
        peer.reads = False
        peer.outbox, peer.waiting = NOTHING, 0
        if peer.extra is not None:
            self.talk.forget(peer, rest=True)
        self.sweep.forget(peer)
        last = self.open.pop()
        if last is not peer:
            self.open[peer.index] = last
            last.index = peer.index
        peer.index = -1
        self.closed[peer.reason] += 1
        self.talk.see_off(peer)

    # The end, and time.

    def drain(self) -> None:
        """Treat every peer as having finished sending what has arrived already, but who stays."""
        self.draining = True
        self.talk.say_goodbye()
        for peer in list(self.open):
            if peer.state is not State.WAITING:
                peer.reason = peer.reason or CloseReason.DRAIN
                if not peer.closing and not peer.stays():
                    peer.todo = Todo.SHUT_RD
                    self.touch(peer)

    def end(self) -> int:
        """Reset all who are left; how many those were."""
        left = list(self.open)
        for peer in left:
            self.reset(peer, CloseReason.DRAIN)
        return len(left)

    def tick(self, time: float) -> float:
        """Let time pass; how many seconds there are until this is to be called again."""
        self.places.reopen()
        if not self._ticks:
            return self._pass(time)
        for part, due in self._ticks.items():
            if time >= due:
                every = part.tick_every or inf
                # What was missed is left out.
                self._ticks[part] = due + every if due + every > time else time + every
                self.talk.tick(part, time)
        return min(self._pass(time), *(due - time for due in self._ticks.values()))

    def _pass(self, time: float) -> float:
        turns = self.talk.turns
        if not turns.paused:
            if self.draining:
                self._end_who_listened()
            delay = self.sweep.step(time)
            self._step_at = time + delay
            return delay
        if time >= self._step_at:
            self._step_at = time + self.sweep.step(time)
        return min(turns.go_on(), self._step_at - time)

    def _end_who_listened(self) -> None:
        """Whose end waited for what others had to say, in a drain."""
        for peer in list(self.open):
            if peer.extra is not None and peer.extra.ended and peer.state is State.OPEN:
                self.talk.catch_up(peer)


def _reason_of(error: Exception) -> CloseReason:
    """What an end means that nobody here asked for."""
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return CloseReason.SLOW_READER  # TCP_USER_TIMEOUT
    return CloseReason.RESET


def hub_class(may_be_tls: bool) -> type[Hub]:
    """What a server needs of whose peers some may speak TLS, or none."""
    if not may_be_tls:
        return Hub
    from aionet.core.tls import TLSHub

    return TLSHub
