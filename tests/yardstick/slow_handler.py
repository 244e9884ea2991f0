"""Echo by asyncio's streams, where one message of a hundred takes 20 ms of CPU.

    python tests/yardstick/slow_handler.py PORT loop|thread|process

loop: the handler works where it is. thread: by asyncio.to_thread. process: by a process of a
concurrent.futures.ProcessPoolExecutor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from time import thread_time

READ = 64 * 1024  # bytes; a message of 1,000 comes whole
SHARE, SLOW_S = 0.01, 0.02


def work(seconds: float = SLOW_S) -> None:
    end = thread_time() + seconds
    while thread_time() < end:
        pass


async def work_here() -> None:
    work()


async def serve(port: int, work_somewhere: Callable[[], Awaitable[None]]) -> None:
    chance = random.Random(1)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(READ):
                if chance.random() < SHARE:
                    await work_somewhere()
                writer.write(data)
                await writer.drain()

    async with await asyncio.start_server(echo, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


async def by_processes(port: int) -> None:
    with ProcessPoolExecutor(1) as pool:
        there = functools.partial(asyncio.get_running_loop().run_in_executor, pool, work)
        await there(0.0)  # it is started before anybody comes
        await serve(port, there)


def main(port: int, where: str) -> None:
    if where == "loop":
        asyncio.run(serve(port, work_here))
    elif where == "thread":
        asyncio.run(serve(port, functools.partial(asyncio.to_thread, work)))
    elif where == "process":
        asyncio.run(by_processes(port))
    else:
        sys.exit(f"{where} is no place to work in: loop, thread or process")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
