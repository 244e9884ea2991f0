"""A service that does what single bytes tell it, and holds a hub to the contract of services."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from aionet.protocol import CLOSE, OVERSIZE, Answer, Service

KIB = 1024
TOKEN = 16  # bytes, before the padding
LARGEST = 24 * KIB

Delivery = tuple[Any, Any]


class Steps:
    """A generator of a service: whether it has come to its end, and never two steps at once."""

    def __init__(self, service: Scripted, steps: Iterator[Delivery]) -> None:
        self._service = service
        self._steps: Any = steps
        self.at_end = False

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Delivery:
        self._service.demand(not self.at_end, "asked on after its end")
        with self._service.alone():
            try:
                return next(self._steps)
            except BaseException:
                self.at_end = True
                raise

    def close(self) -> None:
        self.at_end = True
        self._steps.close()


class Scripted(Service):
    """Everything that it says is made of tokens: the call in which it was said, and a number.

    known: "met" or "ended". heard: what each has said. told: the tokens of each peer, by call.
    late: speakers and their calls in which what was for themselves may have waited. kicked: who
    was closed by others, so that what waited was not said any more. failed: over whom it has.
    """

    def __init__(self) -> None:
        self.known: dict[Any, str] = {}
        self.heard: dict[Any, bytes] = defaultdict(bytes)
        self.told: dict[Any, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.late: set[tuple[Any, int]] = set()
        self.kicked: set[Any] = set()
        self.steps: list[tuple[Any, Steps]] = []
        self.begun: dict[Any, int] = {}
        self.failed: set[Any] = set()
        self.faults: list[str] = []  # of the hub
        self.fails_at_connect = False
        self.fails_at_eof: set[Any] = set()
        self.stays: set[Any] = set()  # who is not closed when it has finished
        self.is_late = False  # nobody stays any more
        self.goodbyes = 0
        self._numbers = itertools.count(1)
        self._calls = itertools.count(1)
        self._busy = False

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        self.demand(not self._busy, "two calls at the same time")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def demand(self, holds: bool, what: str) -> None:
        """An exception would be the service's failure, and cost a peer."""
        if not holds:
            self.faults.append(what)

    def call(self) -> int:
        return next(self._calls)

    def token(self, call: int, *to: Any, size: int = TOKEN) -> bytes:
        """Something new to say to these peers; to who is closed already it will not come."""
        number = next(self._numbers)
        for peer in to:
            if not peer.closing:
                self.told[peer][call].append(number)
        return (b"%07d:%07d;" % (call, number)).ljust(size, b".")

    # As a service.

    def connect(self, peer: Any) -> Answer:
        with self.alone():
            self.demand(peer not in self.known, "met twice")
            self.known[peer] = "met"
            if self.fails_at_connect:
                raise LookupError("as told")
            return self.token(self.call(), peer)

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        with self.alone():
            self.demand(self.known[peer] == "met", "data out of turn")
            self.demand(bool(data), "no data")
            self.heard[peer] += data
            several = len(data) > 1
            answer = self._several(peer, data) if several else self._answer(peer, chr(data[0]))
            if isinstance(answer, Iterator):
                answer = Steps(self, answer)
                self.steps.append((peer, answer))
            return answer

    def _several(self, peer: Any, data: bytes) -> Iterator[Delivery]:
        for each in data.decode():
            answer = self._answer(peer, each)
            if isinstance(answer, list | Iterator):
                yield from answer
            elif answer is not None:
                yield peer, answer

    def _answer(self, peer: Any, command: str) -> Any:
        call = self.call()
        if command in "xyzr":
            self.failed.add(peer)
        match command:
            case "e":
                return self.token(call, peer)
            case "b":
                return self.token(call, peer, size=LARGEST)
            case "l":  # much at once
                self.late.add((peer, call))
                return [(peer, self.token(call, peer, size=8 * KIB)) for _ in range(6)]
            case "g":  # much, as it is taken
                return self._much(peer, call)
            case "t":  # much to others, as they take it
                return self._tell(peer, call)
            case "o":  # to everybody, and to who spoke
                self.late.add((peer, call))
                everybody = [*self.known]
                said = self.token(call, *everybody, size=6 * KIB)
                return [(everybody, said), (peer, self.token(call, peer))]
            case "c":
                last = self.token(call, peer)
                return [(peer, last), (peer, CLOSE), (peer, self.token(call))]
            case "O":
                return OVERSIZE
            case "k":
                self.kicked |= {each for each in self.known if each is not peer}
                return [(each, CLOSE) for each in self.known]
            case "x":
                raise LookupError("as told")
            case "y":
                return [(peer, "no bytes")]
            case "z":  # nobody else is to pay for it
                others = [each for each in self.known if each is not peer]
                return [(others, self.token(call, *others)), (others, "no bytes"), (peer, "no")]
            case "r":
                return self._little_and_fail(peer, call)
            case "E":
                self.fails_at_eof.add(peer)
            case "s":
                self.stays.add(peer)
            case "m":
                self.begun.setdefault(peer, call)
            case "d":
                self.begun.pop(peer, None)
        return None

    def _much(self, peer: Any, call: int) -> Iterator[Delivery]:
        for _ in range(8):
            yield peer, self.token(call, peer, size=8 * KIB)
        everybody = [*self.known]
        yield everybody, self.token(call, *everybody)

    def _tell(self, peer: Any, call: int) -> Iterator[Delivery]:
        for _ in range(8):
            others = [each for each in self.known if each is not peer]
            yield others, self.token(call, *others, size=8 * KIB)
        yield peer, self.token(call, peer)

    def _little_and_fail(self, peer: Any, call: int) -> Iterator[Delivery]:
        yield peer, self.token(call, peer, size=8 * KIB)
        yield peer, self.token(call, peer, size=12 * KIB)
        yield peer, self.token(call, peer)
        raise LookupError("as told")

    def receive_eof(self, peer: Any) -> Answer:
        with self.alone():
            self.demand(self.known[peer] == "met", "ended twice")
            self.known[peer] = "ended"
            if peer in self.fails_at_eof:
                self.failed.add(peer)
                raise LookupError("as told")
            call = self.call()
            self.late.add((peer, call))
            others = [each for each, state in self.known.items() if state == "met"]
            said: list[Any] = [(others, self.token(call, *others))]
            said.append((peer, self.token(call, peer)))
            return said if peer in self.stays and not self.is_late else [*said, (peer, CLOSE)]

    def unfinished(self, peer: Any) -> int | None:
        return self.begun.get(peer)

    def say_goodbye(self) -> Any:
        self.goodbyes += 1
        call = self.call()
        return [(peer, self.token(call, peer)) for peer in self.known]

    # What came of it.

    def check_told(self, peer: Any, stream: bytes, *, whole: bool) -> None:
        """What has come to `peer` is what was said, in order, and `whole`: all of it."""
        came: dict[int, list[int]] = defaultdict(list)
        while len(stream) >= TOKEN:  # the last one may have been cut
            call, number = int(stream[:7]), int(stream[8:15])
            came[call].append(number)
            stream = stream[TOKEN:].lstrip(b".")
        for call, numbers in came.items():
            assert self.told[peer][call][: len(numbers)] == numbers
        if whole:
            for call, numbers in self.told[peer].items():
                if peer not in self.kicked or (peer, call) not in self.late:
                    assert came[call] == numbers
