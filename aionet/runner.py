"""A whole program: listen, serve in one process or several, until a signal."""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from aionet import systemd
from aionet.address import Address
from aionet.hooks import Hooks
from aionet.limits import Limits, Timeouts
from aionet.listen import listen_all
from aionet.loops import loop_factory
from aionet.server import Serves, serve
from aionet.sockets import address_of
from aionet.unix_path import remove_unix_path
from aionet.workers import Worker, supervise

Place = str | Address


def run(
    service: Serves | Callable[[], Serves],
    *where: Place,
    workers: int = 1,
    loop: str = "asyncio",
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    tls: ssl.SSLContext | None = None,
    hooks: Hooks | None = None,
    on_ready: Callable[[list[Address]], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit status: 0 if all went well.

    service: as for `serve`, or what makes one, such as the class: each worker then makes its
        own. loop: "asyncio" or "uvloop". workers: processes that listen on the same ports; the
        kernel deals out the connections (SO_REUSEPORT, socket(7)), and one that dies is
        replaced, so that only its own connections are lost. `limits` are those of each.
    on_ready: called with the addresses once all of them are served.

    systemd is told READY and STOPPING where it asked to be (sd_notify(3)). For the main thread.
    Raises ValueError for what cannot be meant, ModuleNotFoundError where uvloop is missing, and
    OSError where it cannot listen.
    """
    if not where:
        raise ValueError("run() needs an address, such as 'tcp://127.0.0.1:0'")
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")
    loop_factory(loop)
    places = [Address.parse(place) if isinstance(place, str) else place for place in where]
    make: Any = service if _is_factory(service) else lambda: service
    if workers > 1 and getattr(make(), "one_process", False):
        raise ValueError(
            f"workers is {workers}, but the peers of one process of this service would never "
            "meet those of another; use 1"
        )
    with Opened(workers, (timeouts or Timeouts()).write) as opened:
        for place in places:
            opened.add(place)
        return run_on(
            make, opened, loop, on_ready, limits=limits, timeouts=timeouts, tls=tls, hooks=hooks
        )


def _is_factory(service: Any) -> bool:
    if inspect.isclass(service):
        return True
    if hasattr(service, "receive_data") or inspect.iscoroutinefunction(service):
        return False
    return not inspect.iscoroutinefunction(getattr(service, "__call__", None))  # noqa: B004


class Opened:
    """The sockets of every worker, as a context manager that closes them.

    On IP each worker has sockets of its own, which the parent keeps: who waits in the backlog
    of a worker that died is served by its successor. Other sockets are shared by all.
    """

    def __init__(self, workers: int, write_timeout: float | None) -> None:
        self.of_worker: list[list[socket.socket]] = [[] for _ in range(workers)]
        self._listen = partial(listen_all, reuse_port=workers > 1, write_timeout=write_timeout)

    def add(self, address: Address) -> None:
        """Listen there. Raises OSError."""
        first = self._listen(address)
        self.of_worker[0] += first
        for mine in self.of_worker[1:]:
            for sock in first:
                if sock.family == socket.AF_UNIX or address.scheme not in ("tcp", "udp"):
                    mine.append(sock.dup())
                else:
                    mine += self._listen(address_of(sock))

    @property
    def addresses(self) -> list[Address]:
        return [address_of(sock) for sock in self.of_worker[0]]

    def keep_only(self, number: int) -> list[socket.socket]:
        """The sockets of one worker, in its process: those of the others are closed there."""
        for other, sockets in enumerate(self.of_worker):
            if other != number:
                for sock in sockets:
                    sock.close()
        return self.of_worker[number]

    def close(self) -> None:
        for sockets in self.of_worker:
            close_all(sockets)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


def close_all(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        remove_unix_path(sock)
        sock.close()


def run_on(
    make: Callable[[], Any],
    opened: Opened,
    loop: str,
    on_ready: Callable[[list[Address]], None] | None,
    **settings: Any,
) -> int:
    """As `run`, on sockets that are open."""
    addresses = opened.addresses

    def ready() -> None:
        systemd.notify("READY=1")
        if on_ready is not None:
            on_ready(addresses)

    def stopping() -> None:
        systemd.notify("STOPPING=1")
        opened.close()  # or the kernel would go on accepting what nobody serves

    def work(worker: Worker) -> int:
        sockets = opened.keep_only(worker.number)
        with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
            return runner.run(_work(make(), sockets, settings, worker))

    workers = len(opened.of_worker)
    if workers > 1:
        return supervise(work, workers, on_ready=ready, on_stop=stopping)
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(_alone(make(), opened.of_worker[0], settings, ready))
    return 0


async def _alone(
    service: Any, sockets: list[socket.socket], settings: dict[str, Any], ready: Callable[[], None]
) -> None:
    async with serve(service, *sockets, **settings) as server:
        stopped = server.catch_signals()  # who is told that we are ready may send one at once
        ready()
        await stopped.wait()
        systemd.notify("STOPPING=1")


async def _work(
    service: Any, sockets: list[socket.socket], settings: dict[str, Any], worker: Worker
) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    async with serve(service, *sockets, **settings):
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_reader(worker.parent_gone, stopped.set)
        worker.ready()
        await stopped.wait()
        loop.remove_reader(worker.parent_gone)
    return 0
