"""python -m aionet.asyncio_streams serve {echo|chat} --loop {asyncio|uvloop}"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

from aionet.asyncio_streams import StreamServer
from aionet.command import Chat, Serve, announce, fail, listen_or_exit, log_to_stderr, parse
from aionet.loops import LOOPS, keep_read_buffers, loop_factory
from aionet.signals import end_at_once
from aionet.sockets import BACKLOG, address_of

SETTINGS = ("message", "write_buffer", "outbox", "write", "drain", "linger")


async def serve(task: Serve, sock: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; a second one ends at once."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, end_at_once, each)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    peers = StreamServer(task.make_service(), task.limits, task.timeouts)
    server = await asyncio.start_server(peers.meet, sock=sock, backlog=BACKLOG)
    announce([address_of(sock)])
    await stopped.wait()
    server.close()
    await peers.drain()


def main(argv: list[str]) -> None:
    task = parse(
        "aionet.asyncio_streams",
        argv,
        option="loop",
        choices=list(LOOPS),
        option_help="the event loop",
        settings=SETTINGS,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        fail("there is one client for all: python -m aionet chat")
    if task.datagrams:
        fail("asyncio has no streams for datagrams: python -m aionet serve udp-echo")
    try:
        factory = loop_factory(task.option)
    except ModuleNotFoundError as error:
        fail(str(error))
    sock = listen_or_exit(task.addresses[0], write_timeout=task.timeouts.write)
    keep_read_buffers()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(task, sock))


if __name__ == "__main__":
    main(sys.argv[1:])
