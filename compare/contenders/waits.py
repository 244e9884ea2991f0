"""How a handler waits for a while, as for the answer of a database, in each way of serving.

A thread or a process sleeps, and whoever it serves waits with it. A loop that slept would hold up
everybody: it has a timer call it back, and says then what a thread would say when it wakes. All
wait equally long, so that who came first is answered first, whichever timer is the first to fire.

Where a server has threads that share a service, that is called with their lock held: what each
message costs has to come before.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from aionet.command import Serve
from aionet.protocol import Answer, Service
from aionet.sockets import borrowed
from compare.contenders.answers import Answers
from compare.contenders.handler import Before, Cost, handler

CallLater = Callable[[float, Callable[[], object]], object]

SLEEP = ("blocking", "fork", "prefork", "prefork-reuseport")  # and nobody else is served there
THREADS = ("threaded", "threadpool")
OF_AIONET = ("aionet", "compare.contenders.many_loops")
READINESS = ("select", "poll", "epoll", "epoll-et")


class Place(NamedTuple):
    """Where a service is: the module that serves it, and what that was asked for."""

    module: str
    task: Serve

    @property
    def model(self) -> str:
        """Of `blocking`; else the loop or the framework."""
        return self.task.option


@dataclass(frozen=True)
class Around:
    """Puts the cost around what `module` serves; in another interpreter, too, since it is data."""

    module: str
    cost: Cost

    def __call__(self, task: Serve, service: Service) -> Any:
        return put_around(Place(self.module, task), service, self.cost)


def put_around(place: Place, service: Service, cost: Cost) -> Any:
    """What is served in the place of `service`: it takes what each message is to cost."""
    before, wait_s = handler(place.task.service, cost), cost.wait_us / 1e6
    if place.module == "blocking" and place.model in THREADS:
        _before_the_lock(place, _sleeping(before, wait_s))
        return service
    if place.module == "blocking" and place.model in SLEEP:
        before, wait_s = _sleeping(before, wait_s), 0.0
    ask = service.receive_data

    def receive_data(peer: Any, data: bytes) -> Answer:
        before(peer, data)
        return ask(peer, data)

    # On the service itself, since a hub looks at its class to see what may be left out.
    vars(service)["receive_data"] = receive_data
    return _waiting(place, service, wait_s) if wait_s else service


def _sleeping(before: Before, wait_s: float) -> Before:
    """The same, in a thread that can wait itself."""
    if not wait_s:
        return before

    def sleep(peer: Any, data: bytes) -> int:
        many = before(peer, data)
        if many:
            time.sleep(many * wait_s)
        return many

    return sleep


# Threads.


def _before_the_lock(place: Place, before: Before) -> None:
    kind = _server_of(place)
    if place.task.datagrams:
        answer = kind._answer

        def _answer(self: Any, sock: Any, data: bytes, sender: Any) -> None:
            before(sender, data)
            answer(self, sock, data, sender)

        kind._answer = _answer
        return
    tell = kind._tell

    def _tell(self: Any, conn: Any, data: bytes) -> None:
        conn.sending.release()  # what others say to it does not wait
        try:
            before(conn, data)
        finally:
            conn.sending.acquire()
        tell(self, conn, data)

    kind._tell = _tell


# Loops.


class Waiting(Service):
    """Asks a service `wait_s` after each piece has come, and says then what that answers.

    call_later: calls a function after so many seconds, with nothing else under way, and has its
    server look at who is to be told something.
    """

    def __init__(self, service: Service, wait_s: float, call_later: CallLater) -> None:
        self.one_process = service.one_process
        self._service = service
        self._wait_s = wait_s
        self._call_later = call_later
        self._due: deque[tuple[Any, bytes]] = deque()  # b"" is the end
        self._pending: Counter[Any] = Counter()

    def connect(self, peer: Any) -> Answer:
        return self._service.connect(peer)

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        self._pending[peer] += 1
        self._due.append((peer, data))
        self._call_later(self._wait_s, self._go_on)
        return None

    def receive_eof(self, peer: Any) -> Answer:
        if peer not in self._pending:
            return self._service.receive_eof(peer)
        return self.receive_data(peer, b"")

    def unfinished(self, peer: Any) -> int | None:
        return self._service.unfinished(peer)

    def _go_on(self) -> None:
        peer, data = self._due.popleft()
        self._pending[peer] -= 1
        if not self._pending[peer]:
            del self._pending[peer]
        service = self._service

        def ask(peer: Any) -> Answer:
            return service.receive_data(peer, data) if data else service.receive_eof(peer)

        peer.hub.talk.call(peer, ask)


def _waiting(place: Place, service: Service, wait_s: float) -> Any:
    if place.task.datagrams:
        return _datagrams(place, service, wait_s)
    if place.model in READINESS:
        timers = Timers()
        _put_timers(_server_of(place), timers)
        return Waiting(service, wait_s, timers.call_later)
    if place.model == "coroutines":
        return Waiting(service, wait_s, _coroutine_timer(_server_of(place)))
    return Waiting(service, wait_s, _timer(place))


class Timers:
    """What is due when; for a poller that is waited with no longer than until then."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, Callable[[], object]]] = deque()  # all wait equally long

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self._due.append((time.monotonic() + seconds, callback))

    def shorten(self, timeout: float | None) -> float | None:
        if not self._due:
            return timeout
        left = max(0.0, self._due[0][0] - time.monotonic())
        return left if timeout is None else min(left, timeout)

    def run(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            self._due.popleft()[1]()


class TimedPoller:
    """A poller of `blocking`, with timers: after each wait those that are due."""

    def __init__(self, poller: Any, timers: Timers) -> None:
        self.register = poller.register
        self.modify = poller.modify
        self.unregister = poller.unregister
        self.close_socket = poller.close_socket
        self.close = poller.close
        self._poller = poller
        self._timers = timers

    def poll(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        found = self._poller.poll(self._timers.shorten(timeout))
        self._timers.run()
        return found  # type: ignore[no-any-return]


def _put_timers(kind: Any, timers: Timers) -> None:
    plain = kind.make_poller
    kind.make_poller = staticmethod(lambda: TimedPoller(plain(), timers))


def _coroutine_timer(kind: Any) -> CallLater:
    """A coroutine that sleeps, on the loop of the server that is about to be made."""
    servers: list[Any] = []
    init = kind.__init__

    def __init__(self: Any, *arguments: Any) -> None:  # noqa: N807
        init(self, *arguments)
        servers.append(self)

    async def sleep(server: Any, seconds: float, callback: Callable[[], object]) -> None:
        await server._loop.sleep(seconds)
        callback()
        server._see_to_others()

    def call_later(seconds: float, callback: Callable[[], object]) -> None:
        (server,) = servers
        server._loop.spawn(sleep(server, seconds, callback))

    kind.__init__ = __init__
    return call_later


def _asyncio(seconds: float, callback: Callable[[], object]) -> None:
    import_module("asyncio").get_running_loop().call_later(seconds, callback)


def _gevent(seconds: float, callback: Callable[[], object]) -> None:
    import_module("gevent").spawn_later(seconds, callback)


def _trio(seconds: float, callback: Callable[[], object]) -> None:
    trio = import_module("trio")

    async def sleep() -> None:
        await trio.sleep(seconds)
        callback()

    trio.lowlevel.spawn_system_task(sleep)


def _twisted(seconds: float, callback: Callable[[], object]) -> None:
    import_module("twisted.internet.reactor").callLater(seconds, callback)


# How each calls back that is no loop of asyncio, nor on one.
TIMERS: dict[str, CallLater] = {"gevent": _gevent, "trio": _trio, "twisted": _twisted}


def _timer(place: Place) -> CallLater:
    return TIMERS.get(place.model, _asyncio)


# Datagrams.


def _datagrams(place: Place, service: Service, wait_s: float) -> Any:
    if place.module in OF_AIONET:
        return _datagram_handler(service, wait_s)
    if place.module != "blocking":
        _answer_later(wait_s, _timer(place))
        return service
    timers, kind = Timers(), _server_of(place)
    _put_timers(kind, timers)
    answer = kind._answer

    def _answer(self: Any, sock: Any, data: bytes, sender: Any) -> None:
        timers.call_later(wait_s, partial(answer, self, sock, data, sender))

    kind._answer = _answer
    return service


def _datagram_handler(service: Service, wait_s: float) -> Callable[[Any], None]:
    def answer(datagram: Any) -> None:
        datagram.reply(service.receive_data(datagram.sender, datagram.data))

    def handle(datagram: Any) -> None:
        _asyncio(wait_s, partial(answer, datagram))

    return handle


def _answer_later(wait_s: float, call_later: CallLater) -> None:
    """What a framework has to send at once is nothing; later it goes by the socket itself."""
    to = Answers.to

    def send(answers: Answers, sender: Any, data: bytes) -> None:
        with borrowed(answers.sock) as sock:
            for peer, reply in to(answers, sender, data):
                with contextlib.suppress(OSError):  # a full buffer, no way there: its loss
                    sock.sendto(reply, peer)

    def _to(self: Answers, sender: Any, data: bytes) -> list[tuple[Any, bytes]]:
        call_later(wait_s, partial(send, self, sender, data))
        return []

    Answers.to = _to  # type: ignore[method-assign]


def _server_of(place: Place) -> Any:
    """The class that serves, of `blocking`, by which a server is made after this."""
    modules = import_module("blocking.__main__").MODULES
    module = import_module(f"blocking.{modules[place.model]}")
    return module.DatagramServer if place.task.datagrams else module.StreamServer
