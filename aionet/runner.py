"""A whole program: listen, serve in one process or several, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

from aionet import systemd
from aionet.address import IP, Address
from aionet.app import OF_WORKERS, App, Worker, assign, enter, is_app
from aionet.connections import CANCEL_S
from aionet.door import doors_of
from aionet.given import check_flag, check_whole, one_of
from aionet.handlers import shell_of
from aionet.hooks import Hooks, check_callback
from aionet.limits import Limits, Timeouts, check_seconds
from aionet.listen import listen_all, listen_beside
from aionet.listen_errors import explaining
from aionet.loops import LoopError, loop_factory, refuse_within_a_loop
from aionet.place import Listen, complete, listens
from aionet.process import Process
from aionet.protocol import Framing
from aionet.server import Server, Serves, serve
from aionet.sockets import address_of
from aionet.supervised import RETIRE, Supervised
from aionet.tally import OnStats, Tally, keep_telling
from aionet.unix_path import remove_unix_path
from aionet.watchdog import watch
from aionet.workers import supervise

log = logging.getLogger("aionet")

Place = str | Address | Listen
OnReady = Callable[[list[Address]], None]

# For a worker that is to replace another, to become ready.
READY_S = 30.0
# After Timeouts.drain: to cancel handlers in, the app, other tasks, threads, and to say so.
STOP_S = 5 * CANCEL_S


def run(
    service: Serves | App | Place,
    *where: Place,
    factory: App | None = None,
    workers: int = 1,
    loop: str = "asyncio",
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    framing: Framing | None = None,
    hooks: Hooks | None = None,
    cancel_on_close: bool = True,
    count_bytes: bool = False,
    exclusive: bool = True,
    hang_timeout: float | None = 30.0,
    start_timeout: float | None = READY_S,
    on_ready: OnReady | None = None,
    on_stats: OnStats | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit status: 0 if all went well.

    service: as for `serve`. Or an app, which is the program's place in each process that serves: a
        function with `contextlib.asynccontextmanager`, entered there on the loop, and left when the
        server has drained. It is given a `Worker` and yields what is served, or a mapping of each
        address to that:

            @asynccontextmanager
            async def app(worker):
                async with asyncio.TaskGroup() as group:
                    ticker = group.create_task(tick(worker))
                    yield handler
                    ticker.cancel()

    factory: what makes the service, in the place of that: a class, or a function, which may be a
        coroutine function. It is called once in each process that serves, on its loop.
    loop: "asyncio", "uvloop", or MODULE:FACTORY for that of another package, such as
        "rloop:new_event_loop". workers: processes that listen on the same ports; the kernel
        deals out the connections (SO_REUSEPORT, socket(7)), and one that dies is replaced, so that
        only its own connections are lost. `limits` are those of each.
    exclusive: refuse a port that another program shares in that way already, such as this one
        started twice. hang_timeout: of several workers, one whose loop has not turned for so many
        seconds is killed, and replaced; None lets it be. start_timeout: one that is to replace
        another on SIGHUP and is not ready after so many seconds is killed, and the other goes on;
        None waits for it.
    on_ready: called with the addresses once all of them are served. on_stats: called with the
        counters of all workers together, here and not in them, about once a second while they
        change and at the end. Neither may wait: who calls them looks after the workers.

    SIGHUP replaces workers, one after the other, and the app is entered anew in each: its successor
    serves before it begins to drain, so that nobody is refused. A program of one process reads its
    certificates again, unless it does something else by `Worker.on_signal`.

    systemd is told READY and STOPPING where it asked to be (sd_notify(3)). What has not ended soon
    after Timeouts.drain (a handler that ignores its cancellation, a thread) ends with the process,
    which then has the status 1. For the main thread.

    Raises ValueError for what cannot be meant, ImportError where the loop's module is missing or
    fails, RuntimeError where its factory does. Where it cannot listen, such as on a port that is
    taken, it raises SystemExit, which ends the program with one line that says why, and the
    status 1; the OSError is its `__cause__`.
    """
    if factory is not None:
        if not isinstance(service, Place):
            raise ValueError("run() needs a service or factory=, not both")
        if not callable(factory):
            raise ValueError(f"factory is {factory!r}; it must be a class or a function")
        where = (service, *where)
    elif is_app(service):
        factory = cast(App, service)
    elif isinstance(service, Listen):
        where = (service, *where)
    else:
        shell_of(service)  # which says what is wrong with it
    if not where:
        raise ValueError("run() needs an address, such as 'tcp://127.0.0.1:0'")
    check_whole("workers", workers)
    for name, seconds in (("hang_timeout", hang_timeout), ("start_timeout", start_timeout)):
        if seconds is not None:
            check_seconds(name, seconds)
    for name, flag in (
        *(("cancel_on_close", cancel_on_close), ("count_bytes", count_bytes)),
        ("exclusive", exclusive),
    ):
        check_flag(name, flag)
    limits = one_of(Limits, "limits", limits, Limits())
    timeouts = one_of(Timeouts, "timeouts", timeouts, Timeouts())
    hooks = one_of(Hooks, "hooks", hooks, Hooks())
    check_callback("on_ready", on_ready)
    check_callback("on_stats", on_stats)
    loop_factory(loop)
    refuse_within_a_loop()
    given = None if factory is not None or isinstance(service, Listen) else service
    _refuse_to_part(factory or service, workers)
    places = complete(listens(where), given, tls=tls, starttls=starttls, framing=framing)
    if factory is None:
        doors_of(places, cancel_on_close)  # which says what cannot be served
    with Opened(workers, timeouts.write, exclusive=exclusive) as opened:
        for place in places:
            opened.add(place)
        return run_on(
            factory or partial(_same, given),
            opened,
            loop,
            on_ready,
            on_stats=on_stats,
            hang_timeout=hang_timeout,
            start_timeout=start_timeout,
            limits=limits,
            timeouts=timeouts,
            hooks=hooks,
            cancel_on_close=cancel_on_close,
            count_bytes=count_bytes,
        )


def _same(service: Any) -> Any:
    return service


class _CannotServeError(ValueError):
    """What a program gave in a worker cannot be served, or not by so many."""


def _refuse_to_part(service: Any, workers: int) -> None:
    if workers > 1 and getattr(service, "one_process", False):
        raise ValueError(
            f"workers is {workers}, but the peers of one process of this service would never "
            "meet those of another; use 1"
        )


class Opened:
    """The sockets of every worker, as a context manager that closes them.

    On IP each worker has sockets of its own, which the parent keeps: who waits in the backlog
    of a worker that died is served by its successor. Other sockets are shared by all.
    """

    def __init__(
        self, workers: int, write_timeout: float | None, *, exclusive: bool = True
    ) -> None:
        self.of_worker: list[list[Listen]] = [[] for _ in range(workers)]
        self._write_timeout = write_timeout
        self._listen = partial(
            listen_all, reuse_port=workers > 1, exclusive=exclusive, write_timeout=write_timeout
        )

    def add(self, place: Listen) -> None:
        """Listen there, or end the program with one line."""
        address = place.address
        assert isinstance(address, Address)
        with explaining(address):
            first = self._listen(address, backlog=place.backlog, mode=place.mode)
        self.of_worker[0] += map(place.on, first)
        for mine in self.of_worker[1:]:
            for sock in first:
                if sock.family == socket.AF_UNIX or address.scheme not in IP:
                    mine.append(place.on(sock.dup()))
                else:
                    beside = listen_beside(sock, self._write_timeout, place.backlog)
                    mine.append(place.on(beside))

    @property
    def addresses(self) -> list[Address]:
        return [address_of(sock) for sock in _sockets(self.of_worker[0])]

    def keep_only(self, number: int) -> list[Listen]:
        """Those of one worker, in its process: those of the others are closed there."""
        for other, places in enumerate(self.of_worker):
            if other != number:
                for sock in _sockets(places):
                    sock.close()
        return self.of_worker[number]

    def close(self) -> None:
        for places in self.of_worker:
            for sock in _sockets(places):
                remove_unix_path(sock)
                sock.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


def _sockets(places: list[Listen]) -> list[socket.socket]:
    return [place.address for place in places if isinstance(place.address, socket.socket)]


def run_on(
    app: App,
    opened: Opened,
    loop: str,
    on_ready: OnReady | None,
    *,
    timeouts: Timeouts,
    on_stats: OnStats | None = None,
    hang_timeout: float | None = 30.0,
    start_timeout: float | None = READY_S,
    supervised: bool = False,
    **settings: Any,
) -> int:
    """As `run`, on sockets that are open. supervised: also a single worker has a parent."""
    addresses = opened.addresses
    workers = len(opened.of_worker)
    alone = workers == 1 and not supervised
    settings["timeouts"] = timeouts

    def ready() -> None:
        systemd.notify("READY=1")
        if on_ready is not None:
            on_ready(addresses)

    def stopping() -> None:
        systemd.notify("STOPPING=1")
        opened.close()  # or the kernel would go on accepting what nobody serves

    @contextlib.asynccontextmanager
    async def serving(places: list[Listen], worker: Worker) -> AsyncIterator[Server]:
        async with contextlib.AsyncExitStack() as stack:
            what = await enter(app, worker, stack)
            try:
                _refuse_to_part(what, workers)
                places = assign(what, places)
                given = None if isinstance(what, Mapping) else what
                mine = complete(tuple(places), given, tls=None, starttls=None, framing=None)
                server = serve(mine[0], *mine[1:], **settings)
            except ValueError as error:
                raise (ValueError if alone else _CannotServeError)(str(error)) from None
            worker.serves(server)
            yield server

    if alone:
        with Process(loop, timeouts.drain) as process:
            return process.serve(_alone(serving, opened.of_worker[0], process, ready, on_stats))

    def work(place: Supervised) -> int:
        places = opened.keep_only(place.number)
        tells = on_stats is not None
        try:
            with Process(loop, timeouts.drain) as process:
                return process.serve(_work(serving, places, process, place, hang_timeout, tells))
        except (_CannotServeError, LoopError) as error:
            raise SystemExit(str(error)) from None

    tally = Tally(on_stats) if on_stats is not None else None
    _warn_of_threads()
    return supervise(
        work,
        workers,
        on_ready=ready,
        on_stop=stopping,
        on_report=tally.report if tally else None,
        on_end=tally.end if tally else None,
        stop_timeout=timeouts.drain + STOP_S,
        replaceable=True,
        start_timeout=math.inf if start_timeout is None else start_timeout,
    )


def _warn_of_threads() -> None:
    """Of those of the program: the kernel's own, such as of a library in C, cannot be known."""
    names = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    if names:
        log.warning(
            "run() forks workers, and threads run already (%s): a lock that one of them holds "
            "stays locked in a worker; start them in an app, or in on_ready",
            ", ".join(names),
        )


Serving = Callable[[list[Listen], Worker], contextlib.AbstractAsyncContextManager[Server]]


async def _alone(
    serving: Serving,
    places: list[Listen],
    process: Process,
    ready: Callable[[], None],
    on_stats: OnStats | None,
) -> None:
    worker = Worker(0)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(places, worker))
        if on_stats is not None:
            await stack.enter_async_context(keep_telling(server, on_stats))
        await stack.enter_async_context(server)
        if not worker.hears(signal.SIGHUP) and server.has_certificates:
            worker.on_signal(signal.SIGHUP, server.reload_certificates)
        stopped = server.catch_signals()  # who is told that we are ready may send one at once
        if not worker.hears(signal.SIGHUP):  # such as of a terminal that has gone
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stopped.set)
        ready()
        await stopped.wait()
        worker.draining.set()
        systemd.notify("STOPPING=1")
        await process.drain(server)


async def _work(
    serving: Serving,
    places: list[Listen],
    process: Process,
    place: Supervised,
    hang_timeout: float | None,
    tells: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stopped, retired = asyncio.Event(), asyncio.Event()
    worker = Worker(place.number, OF_WORKERS)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(places, worker))
        server.reload_certificates()  # they may have changed since the parent read them
        if tells:
            await stack.enter_async_context(
                keep_telling(server, lambda stats: place.report(stats.pack()))
            )
        await stack.enter_async_context(server)
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_signal_handler(RETIRE, retired.set)
        loop.add_reader(place.parent_gone, stopped.set)
        if hang_timeout is not None:
            watch(loop, hang_timeout)
        place.ready()
        await _any_of(stopped, retired)
        worker.draining.set()
        if not stopped.is_set():
            retiring = asyncio.create_task(server.retire())
            await _any_of(stopped, retiring)
            retiring.cancel()
        loop.remove_reader(place.parent_gone)
        await process.drain(server)


async def _any_of(*events: asyncio.Event | asyncio.Task[None]) -> None:
    """Wait until one of them has happened."""
    waits = [
        each if isinstance(each, asyncio.Task) else asyncio.create_task(each.wait())
        for each in events
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each, wait in zip(events, waits, strict=True):
            if each is not wait:
                wait.cancel()
