"""What the service and its peers say to each other, one at a time and within bounds."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aionet.core.failure import let_exits_pass
from aionet.core.peer import Peer, State, extra_of
from aionet.core.turns import MADE, SPREAD, Turns, spread_of
from aionet.limits import CloseReason
from aionet.protocol.service import Answer, Close, Deliveries, Delivery, Service, delivered, pair
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.core.hub import Hub

END: Any = object()
_HALF_CLOSED = State.HALF_CLOSED
LOW = 4  # who was not listened to is again when this part of Limits.write_buffer is left


class Talk:
    """Asks the service, and carries out what it answers.

    Who does not read is not listened to: what it says waits, and so does the rest of what its
    service has for it. Who is talked to by others without reading is dropped at Limits.outbox.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._service = hub.service
        self._timed = (
            hub.timeouts.message is not None
            and type(self._service).unfinished is not Service.unfinished
        )
        self.greets = type(self._service).connect is not Service.connect
        self._is_done_at_eof = type(self._service).receive_eof is Service.receive_eof
        self._most = hub.limits.outbox
        self._busy = 0  # calls of the service, or what they answered, under way
        self.turns = Turns(hub)
        self._asked: Peer | None = None  # whose generator is
        self._leaving: deque[Peer] = deque()  # who is gone, and nobody was told yet

    # Ask.

    @property
    def ask(self) -> Callable[[Peer, bytes], Answer]:
        """What is called for each message."""
        return self._ask_and_time if self._timed else self._service.receive_data

    def _ask_and_time(self, peer: Peer, data: bytes) -> Answer:
        answer = self._service.receive_data(peer, data)
        if peer.state is State.OPEN:
            peer.expect(self._service.unfinished(peer))
        return answer

    def answer(self, peer: Peer, answer: Answer) -> bytes:
        """Carry it out; what is to be written to `peer` at once."""
        hub = self._hub
        about, hub.about = hub.about, peer
        self._busy += 1
        try:
            self._carry_out(peer, answer)
        except BaseException:
            self.fail(peer)
        finally:
            self._busy -= 1
        if self._timed:
            self._time_message(peer)
        if self._leaving:
            self._tell_all()
        hub.about = about
        if peer.extra is not None and peer.extra.rest is not None:
            return b""  # there is more to come: the shell has to see to it, and takes this then
        return hub.take_plain(peer)

    def call(self, peer: Peer, method: Callable[[Any], Answer]) -> None:
        """Ask the service about `peer`; what it says waits to be taken."""
        self._busy += 1
        try:
            answer = method(peer)
            if answer.__class__ is Close:
                self._close_for(peer, answer)
            elif answer is not None:
                self._carry_out(peer, answer)
        except BaseException:
            self.fail(peer)
        finally:
            self._busy -= 1
        if self._leaving:
            self._tell_all()

    def end(self, peer: Peer) -> None:
        """It has finished sending, and all that it sent has been heard."""
        peer.state = _HALF_CLOSED
        peer.reads = peer.met = False
        if self._is_done_at_eof:
            self._hub.close(peer)
            return
        if peer.outbox is None:
            peer.outbox = []
        if peer.extra is not None:
            peer.extra.message = None
        self.call(peer, self._service.receive_eof)
        if peer.extra is not None and peer.extra.finished:
            self._hub.close(peer)  # both have: nothing is left
        self._hub.touch(peer)

    def say_goodbye(self) -> None:
        for part in self._service._parts:
            self._say(part.say_goodbye, "the service failed to say goodbye")

    def tick(self, part: Service, time: float) -> None:
        self._say(lambda: part.tick(time), "the service failed to tick")

    def _say(self, ask: Callable[[], Deliveries], failed: str) -> None:
        """What nobody has made it say."""
        try:
            self.deliver(ask())
        except BaseException:
            let_exits_pass()
            throttled(logging.ERROR, failed, traceback=True)

    def deliver(self, deliveries: Deliveries) -> None:
        """Carry them out though nobody has spoken. Raises what they raise."""
        self._busy += 1
        try:
            for to, what in map(pair, deliveries):
                self._deliver(to, what)
        finally:
            self._busy -= 1
            if self._leaving:
                self._tell_all()

    def fail(self, peer: Peer) -> bytes:
        """The service failed over this peer: that costs it, and nobody else."""
        let_exits_pass()
        throttled(
            logging.ERROR,
            "the service failed; the connection from %s is reset",
            peer.address,
            traceback=True,
        )
        self._hub.reset(peer, CloseReason.ERROR)
        return b""

    # Deliver.

    def _carry_out(self, peer: Peer, answer: Answer) -> None:
        if answer is None:
            return
        if isinstance(answer, bytes | bytearray | memoryview | Close):
            self.put(peer, answer)
        elif isinstance(answer, str) or not isinstance(answer, Iterable):
            pair(answer)  # which says so
        elif isinstance(answer, Iterator):
            if peer.outbox is None:
                peer.outbox = []
            extra_of(peer).rest = answer
            self._go_on(peer)
        else:
            self._carry_out_list(peer, answer)

    def _carry_out_list(self, peer: Peer, deliveries: Deliveries) -> None:
        """At once for others, who must not wait for this one; what is its own, as it reads."""
        own: list[Delivery] = []
        for delivery in deliveries:
            to, what = pair(delivery)
            if to is peer and (own or self._hub.is_full(peer)) and not peer.closing:
                own.append(delivery)
            else:
                self._deliver(to, what)
        if own and not peer.closing:
            own.reverse()  # so that each is let go when it is taken
            extra_of(peer).rest = (own.pop() for _ in range(len(own)))
            self._regulate(peer)

    def _deliver(self, to: Any, what: bytes | Close) -> None:
        try:
            if to.__class__ is not list:
                self.put(to, what)
            elif what.__class__ is bytes and what:
                self._put_to_many(to, what)
            else:
                if not isinstance(what, bytes | Close):
                    what = delivered(what)  # also if it is for nobody
                for each in to:
                    self.put(each, what)
        except AttributeError:
            if all(isinstance(each, Peer) for each in (to if isinstance(to, list) else [to])):
                raise
            raise TypeError(f"delivered to {to!r}; it must be a peer, or a list of peers") from None

    def _put_to_many(self, peers: list[Peer], what: bytes) -> None:
        """As `put`, for each of them."""
        most, size, touch = self._most, len(what), self._hub.touch
        for peer in peers:
            outbox = peer.outbox
            if outbox and peer.extra is None and (waiting := peer.waiting) <= most:
                outbox.append(what)  # who closes has an Extra, and who has an outbox is dirty
                peer.waiting = waiting + size
            elif outbox is None:
                peer.outbox = [what]
                peer.waiting = size
                touch(peer)
            else:
                self.put(peer, what)

    def put(self, peer: Peer, what: bytes | bytearray | memoryview | Close) -> None:
        """Deliver to one peer. Raises TypeError for what is neither bytes nor a close."""
        outbox = peer.outbox
        if outbox is None and what.__class__ is bytes and what:
            peer.outbox = [what]
            peer.waiting = len(what)
            self._hub.touch(peer)
            return
        if isinstance(what, Close):
            self._close_for(peer, what)
            return
        if not isinstance(what, bytes):
            what = delivered(what)
        if not what or (peer.state is not State.OPEN and peer.state is not State.HALF_CLOSED):
            return
        extra = peer.extra
        if extra is not None and extra.finished:
            return
        if peer.waiting + (extra.unsent if extra else 0) > self._most:
            throttled(logging.INFO, "%s is dropped: it reads too slowly", peer.address)
            self._hub.reset(peer, CloseReason.SLOW_READER)
            return
        if outbox is None:
            outbox = peer.outbox = []
        outbox.append(what)
        peer.waiting += len(what)
        self._hub.touch(peer)

    def _close_for(self, peer: Peer, what: Close) -> None:
        if what.abort:
            self._hub.reset(peer, what.reason)
        else:
            self._hub.close(peer, what.reason)

    # Back-pressure.

    def catch_up(self, peer: Peer) -> None:
        """Go on with what had to wait, as far as the peer reads now."""
        extra = extra_of(peer)
        self._busy += 1
        try:
            if extra.rest is not None:
                self._go_on(peer)
            while extra.early and peer.state is State.OPEN and self._is_heard(peer):
                early, extra.early = extra.early, b""
                self._carry_out(peer, self._service.receive_data(peer, early))
        except BaseException:
            self.fail(peer)
        finally:
            self._busy -= 1
        if self._timed:
            self._time_message(peer)
        if (
            extra.ended
            and peer.state is State.OPEN
            and not (extra.early or extra.paused)
            and extra.rest is None
            and not (self._hub.draining and self.turns.paused)
        ):
            extra.ended = False
            self.end(peer)
        self._regulate(peer)
        self.ease(peer)
        if self._leaving:
            self._tell_all()

    def _go_on(self, peer: Peer) -> None:
        """Ask the generator on for a turn, while the peer reads. Raises what that raises."""
        extra = extra_of(peer)
        self._asked = peer
        self.turns.begin()
        spread = 0
        try:
            while extra.rest is not None and (peer.closing or not self._hub.is_full(peer)):
                delivery = next(extra.rest, END)
                if delivery is END:
                    extra.rest = None
                    break
                try:
                    to, what = delivery
                except (TypeError, ValueError):
                    to, what = pair(delivery)  # which says what it is
                self._deliver(to, what)
                if not peer.closing:
                    spread += MADE if to is peer else spread_of(to, what)
                    if to is peer and peer.outbox:
                        if spread > SPREAD:
                            break  # it is asked on when this was written
                    elif self.turns.is_over(to, spread):
                        self.turns.pause(peer, to)
        finally:
            self._asked = None
        self._regulate(peer)

    def _is_heard(self, peer: Peer) -> bool:
        extra = peer.extra
        if extra is None:
            return True
        limit = self._hub.limits.write_buffer
        if not peer.reads:
            limit //= LOW
        free = extra.rest is None and not extra.paused and not extra.held
        return free and peer.waiting + extra.unsent <= limit

    def _regulate(self, peer: Peer) -> None:
        """Whether it is to be read from."""
        if peer.state is State.OPEN and (reads := self._is_heard(peer)) is not peer.reads:
            peer.reads = reads
            if (extra := peer.extra) is not None:
                if reads:
                    extra.since += self._hub.now - extra.deaf_at
                else:
                    extra.deaf_at = self._hub.now
            if peer.outbox is None:
                peer.outbox = []
            self._hub.touch(peer)

    def ease(self, peer: Peer) -> None:
        """See whether nothing is in the way of its answers any more."""
        if peer.state is State.OPEN and peer.reads and not peer.outbox:
            extra = peer.extra
            if extra is None or not extra.in_the_way:
                peer.outbox = None

    def forget(self, peer: Peer, *, rest: bool = False) -> None:
        """Nothing more of it is given to the service; nor, of the `rest`, anything more to it."""
        extra = peer.extra
        if extra is None:
            return
        extra.early, extra.ended, extra.message = b"", False, None
        if (paused := self.turns.forget(peer)) is not None:
            extra.rest = paused
        # A generator that has closed its peer may have something to say to others.
        if extra.rest is not None and (rest or peer is not self._asked):
            close = getattr(extra.rest, "close", None)
            extra.rest = None
            if close is not None:
                self._close(close)

    def _close(self, close: Callable[[], None]) -> None:
        try:
            close()
        except BaseException:
            let_exits_pass()
            gone = "the service failed over a peer that is gone"
            throttled(logging.ERROR, gone, traceback=True)

    # Messages under way.

    def _time_message(self, peer: Peer) -> None:
        """Note which message has begun, and when."""
        if peer.state is State.OPEN:
            try:
                peer.expect(self._service.unfinished(peer))
            except BaseException:
                self.fail(peer)

    # Farewell.

    def see_off(self, peer: Peer) -> None:
        """It is gone: tell the service, and all who want to know, when nothing is under way."""
        if self._busy or self._leaving:
            self._leaving.append(peer)
            return
        self._tell(peer)
        if self._leaving:
            self._tell_all()

    def _tell_all(self) -> None:
        while self._leaving and not self._busy:
            self._tell(self._leaving.popleft())

    def _tell(self, peer: Peer) -> None:
        self._busy += 1
        try:
            if peer.met:
                peer.met = False
                self.call(peer, self._service.receive_eof)
        finally:
            if peer.place:
                self._hub.places.leave(peer)
            try:
                peer.gone()
            except Exception:
                gone = "a shell failed over a peer that is gone"
                throttled(logging.ERROR, gone, traceback=True)
            finally:
                self._busy -= 1
