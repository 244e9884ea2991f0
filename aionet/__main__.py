"""python -m aionet serve {echo|udp-echo|chat} --loop {asyncio|uvloop}"""

from __future__ import annotations

import asyncio
import socket
import sys

from aionet.command import (
    SERVICES,
    Chat,
    Serve,
    announce,
    fail,
    listen_or_exit,
    log_to_stderr,
    parse,
)
from aionet.loops import LOOPS, loop_factory
from aionet.server import serve as serve_on


async def serve(task: Serve, sock: socket.socket) -> None:
    service = SERVICES[task.service]()
    async with serve_on(service, sock, limits=task.limits, timeouts=task.timeouts) as server:
        stopped = server.catch_signals()  # who reads READY may send one at once
        announce(sock)
        await stopped.wait()


def main(argv: list[str]) -> None:
    task = parse("aionet", argv, option="loop", choices=list(LOOPS), option_help="the event loop")
    log_to_stderr()
    if isinstance(task, Chat):
        from aionet.client import chat

        raise SystemExit(asyncio.run(chat(task.host, task.port, task.name)))
    try:
        factory = loop_factory(task.option)
    except ModuleNotFoundError as error:
        fail(str(error))
    sock = listen_or_exit(task.address)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(task, sock))


if __name__ == "__main__":
    main(sys.argv[1:])
