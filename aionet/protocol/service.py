"""The contract between a service, which decides what to say, and a shell, which does the I/O.

The rules, the same for every shell:

1. A peer is an opaque hashable key that the shell chooses. A service never touches a socket.
2. A shell calls `connect` once, then `receive_data` any number of times with at least one
   byte, then `receive_eof` exactly once: when the peer has finished sending, or is gone,
   or has been dropped by the shell. It never makes two calls at the same time.
3. Every call gives an answer, see `Answer`. What is delivered is carried out in order, so that
   all peers see one order of messages. `CLOSE` closes a peer once everything delivered to it
   before has been sent; `OVERSIZE` does the same and says why. `ABORT` resets it at once. Empty
   bytes are nothing, and close nobody. What is delivered to a peer that is closed, or closing, is
   dropped by the shell.
4. Who does not read is not listened to (back-pressure). What a list has for others is carried out
   at once; what it has for the peer that made the service speak waits until that reads, and so
   does all that a generator has: it is asked on only while that peer reads, so that large answers
   are made as they are taken, and in turns while others have much to take, so that nobody is
   dropped for what one peer says at once: whatever may be much for others is to be a generator,
   and to close its own peer last, for what it says after that is said at once.
   Until then nothing more of that peer is given to the service; should it go, or be closed by
   others, the generator is closed. What others say to a peer is bounded by Limits.outbox.
5. What a peer says wrong becomes deliveries (an error line, a close), never an exception.
6. A service that has something to say when nobody has spoken says what is due by `tick_every`, and
   a program says anything at any time by `Server.deliver`; both as a list is carried out.

Over datagrams there are no connections: a shell calls only `receive_data`, with the sender's
address as the peer, for every datagram, the empty one included; `b""` then is an empty
datagram, and CLOSE is nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from inspect import isasyncgen, isasyncgenfunction, iscoroutinefunction, isgenerator
from typing import Any, Final, final

from aionet.given import hint
from aionet.limits import CloseReason


@final
class Close:
    """Delivered to a peer, it closes it, for that reason. abort: by a reset, at once (RST)."""

    __slots__ = ("abort", "reason")

    def __init__(self, reason: CloseReason, *, abort: bool = False) -> None:
        self.reason: Final = reason
        self.abort: Final = abort

    def __repr__(self) -> str:
        return f"Close({self.reason.value!r}{', abort=True' if self.abort else ''})"


CLOSE = Close(CloseReason.DONE)
OVERSIZE = Close(CloseReason.OVERSIZE)
ABORT = Close(CloseReason.ABORTED, abort=True)

# A peer, or a list of peers, and what it is sent.
Delivery = tuple[Any, bytes | Close]
Deliveries = Iterable[Delivery]
# Bytes, or a close, are for the peer that made the service speak; None is nothing.
Answer = bytes | Close | Deliveries | None


_METHODS = (
    *("connect", "receive_data", "receive_eof", "unfinished", "say_goodbye", "tick"),
    *("one_process", "tick_every"),
)


class Service:
    """What all services are: one for all of its peers; see the module's rules.

    one_process: whether peers in different processes would miss each other.
    tick_every: seconds between two calls of `tick`, from the server's start on; None is never.
    """

    one_process = False
    tick_every: float | None = None

    def __init_subclass__(cls) -> None:
        """Raises TypeError for what looks like one of these methods, and is spelt otherwise."""
        for name, member in vars(cls).items():
            if name in _METHODS and (iscoroutinefunction(member) or isasyncgenfunction(member)):
                raise TypeError(f"{cls.__name__}.{name}() is async; a service does not wait")
            near = difflib.get_close_matches(name, _METHODS, 1, 0.9)
            if name not in _METHODS and near and not name.startswith("_"):
                raise TypeError(f"{cls.__name__}.{name}() is never called; is it {near[0]}()?")

    def connect(self, peer: Any) -> Answer:
        """A stream peer arrived."""
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        """`peer` sent `data`: an arbitrary piece of its stream, or one whole datagram."""
        raise NotImplementedError

    def receive_eof(self, peer: Any) -> Answer:
        """`peer` finished sending, or is gone."""
        return CLOSE

    def unfinished(self, peer: Any) -> int | None:
        """Which of its messages `peer` has begun and not ended; None between messages.

        A number that no other message of that peer has. A peer is held to Timeouts.message by it.
        """
        return None

    @property
    def _parts(self) -> Sequence[Service]:
        """The services that this one is made of, each of which ticks and says goodbye by itself."""
        return (self,)

    def tick(self, now: float) -> Deliveries:
        """What is to be said at this time, of a clock that never goes back, in seconds.

        A call that is missed because the program was busy is left out.
        """
        return ()

    def say_goodbye(self) -> Deliveries:
        """What is said when the server begins to stop; asked for once."""
        return ()


def no_delivery(what: Any) -> TypeError:
    """What to raise for what was given in the place of one."""
    return TypeError(f"{what!r} is no delivery; it must be a pair of a peer, or peers, and bytes")


def is_answer(what: object) -> bool:
    """Whether it would be one of a service: a handler that gives it means to say something."""
    if isinstance(what, bytes | bytearray | memoryview | Close) or type(what) is str:
        return True
    return isgenerator(what) or isasyncgen(what)


def pair(delivery: Any) -> Delivery:
    """Raises TypeError for what is none."""
    if not isinstance(delivery, str):
        try:
            to, what = delivery
            return to, what
        except (TypeError, ValueError):
            pass
    raise no_delivery(delivery)


def delivered(what: object) -> bytes:
    """What is to be sent. Raises TypeError for what is not bytes."""
    if not isinstance(what, bytes | bytearray | memoryview):
        name = type(what).__name__
        raise TypeError(f"{name} was delivered; it must be bytes, or CLOSE{hint(what)}")
    return bytes(what)


def deliveries(peer: Any, answer: Answer) -> Deliveries:
    """The same, each with whom it is for: what `peer` made the service say."""
    if answer is None:
        return ()
    if isinstance(answer, bytes | bytearray | memoryview | Close):
        return ((peer, bytes(answer) if not isinstance(answer, Close) else answer),)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise no_delivery(answer)
    return answer


def datagrams(sender: Any, answer: Answer) -> Iterable[tuple[Any, bytes]]:
    """The datagrams that `answer` is, each with its destination."""
    if answer.__class__ is bytes:
        return ((sender, answer),)
    return (
        (each, data if data.__class__ is bytes else delivered(data))
        for to, data in map(pair, deliveries(sender, answer))
        if not isinstance(data, Close)
        for each in (to if isinstance(to, list) else (to,))
    )
