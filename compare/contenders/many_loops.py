"""python -m compare.contenders.many_loops serve {echo|udp-echo} --unit {threads|interpreters}

Several event loops in one process, each in a thread with aionet's shell and a socket of its own
(SO_REUSEPORT, socket(7)): as `aionet.run(workers=N)`, without the processes. Threads share one
interpreter, and take turns where it has a global lock; interpreters have a lock each (PEP 684,
PEP 734) and share nothing. A loop that fails ends all, since nothing can replace it alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable

from aionet import command
from aionet.address import IP
from aionet.command import Chat, Serve, announce, fail, log_to_stderr, parse
from aionet.listen_errors import explaining
from aionet.loops import loop_factory
from aionet.place import Listen
from aionet.runner import Opened
from aionet.server import serve
from aionet.signals import end_at_once

STOPS = (signal.SIGTERM, signal.SIGINT)
NAME = "compare.contenders.many_loops"
READY, FAILED, ENDED = b"r", b"f", b"e"
OLDEST = (3, 13)  # 3.12 has them, and aborts when one of them has ended (seen with 3.12.1)

log = logging.getLogger("aionet")

# What a loop is given: descriptors of its sockets, of a pipe that ends when it is to stop, and of
# one on which it says what has become of it.
Work = Callable[[list[int], int, int], None]


def work(argv: list[str], sockets: list[int], stop: int, reports: int) -> None:
    """A loop, from its beginning to its end, in the thread that calls it; the sockets are its own
    from then on.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory("asyncio")) as runner:
            runner.run(_serve(_read(argv), sockets, stop, reports))
    except BaseException:
        log.exception("a loop failed")
        os.write(reports, FAILED)
    else:
        os.write(reports, ENDED)


async def _serve(task: Serve, sockets: list[int], stop: int, reports: int) -> None:
    told = asyncio.Event()
    places = [Listen(socket.socket(fileno=each)) for each in sockets]
    server = serve(task.make_service(), *places, limits=task.limits, timeouts=task.timeouts)
    async with server:
        loop = asyncio.get_running_loop()
        loop.add_reader(stop, told.set)
        os.write(reports, READY)
        await told.wait()
        loop.remove_reader(stop)


def _in_interpreters() -> Callable[[str], None]:
    """What runs a program in an interpreter of its own, with a lock of its own."""
    try:
        # Since 3.14 concurrent.interpreters stands on it, and is no part of 3.13.
        import _interpreters  # type: ignore[import-not-found]
    except ImportError:
        fail(
            f"{sys.implementation.name} {sys.version.split()[0]} has no interpreters beside the "
            f"main one; CPython {'.'.join(map(str, OLDEST))} and newer have them"
        )

    def execute(program: str) -> None:
        number = _interpreters.create()
        try:
            if wrong := _interpreters.exec(number, program):
                raise RuntimeError(wrong.formatted)
        finally:
            _interpreters.destroy(number)

    return execute


def works(task: Serve, argv: list[str]) -> Work:
    """How a thread of ours carries out one loop's work."""
    if task.option == "threads":
        return lambda *descriptors: work(argv, *descriptors)
    execute = _in_interpreters()
    around = pickle.dumps(command.AROUND)

    def elsewhere(sockets: list[int], stop: int, reports: int) -> None:
        try:
            execute(
                f"import pickle, sys\nsys.path[:] = {sys.path!r}\n"
                f"from aionet import command\ncommand.AROUND[:] = pickle.loads({around!r})\n"
                f"from {NAME} import log_to_stderr, work\n"
                f"log_to_stderr()\nwork({argv!r}, {sockets!r}, {stop}, {reports})\n"
            )
        except Exception:
            log.exception("an interpreter failed")
            os.write(reports, FAILED)

    return elsewhere


def run(task: Serve, opened: Opened, one: Work) -> int:
    """All loops, until SIGTERM or SIGINT; the exit status. A second signal ends at once."""
    stop, stops = os.pipe()
    reports, reported = os.pipe()
    stopping = False

    def end() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            os.close(stops)

    def on_signal(*ignored: object) -> None:
        for number in STOPS:
            signal.signal(number, end_at_once)
        end()

    for number in STOPS:
        signal.signal(number, on_signal)
    addresses = opened.addresses
    threads = [
        # Nobody else may have its sockets, or the kernel would go on connecting who is not served.
        threading.Thread(target=one, args=([_detach(place) for place in places], stop, reported))
        for places in opened.of_worker
    ]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # of theirs: one would not wake us
    ready, left, failed = 0, 0, False
    for each in threads:
        try:
            each.start()
        except RuntimeError as error:  # there are no more (ulimit -u, pids.max)
            log.error("only %d of %d loops: %s", left, len(threads), error)
            failed = True
            end()
            break
        left += 1
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    while left:
        said = os.read(reports, 1)
        if said == READY:
            ready += 1
            if ready == len(threads):
                announce(addresses)
        else:
            left -= 1
            failed |= said == FAILED
            end()
    for each in threads:
        if each.ident is not None:
            each.join()
    return int(failed)


def _detach(place: Listen) -> int:
    assert isinstance(place.address, socket.socket)
    return place.address.detach()


def _read(argv: list[str]) -> Serve:
    task = parse(
        NAME,
        argv,
        option="unit",
        choices=["threads", "interpreters"],
        option_help="what each loop has for itself",
    )
    if isinstance(task, Chat):
        fail("there is one client for all: python -m aionet chat")
    return task


def main(argv: list[str]) -> None:
    task = _read(argv)
    log_to_stderr()
    if task.is_app or task.service == "chat" or task.tls:
        fail("each loop serves echo or udp-echo by itself, without TLS")
    if any(each.scheme not in IP for each in task.addresses):
        fail("each loop has a socket of its own, which there is of tcp:// and udp:// only")
    task.refuse_useless()
    one = works(task, argv)
    with Opened(task.workers, task.timeouts.write) as opened:
        for address in task.addresses:
            with explaining(address):
                opened.add(Listen(address))
        status = run(task, opened, one)
    raise SystemExit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
