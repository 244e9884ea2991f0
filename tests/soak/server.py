"""What the soak wears on: `server.py asyncio|uvloop`. A line on stdin asks for a line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
from typing import Any

import aionet
from aionet.loops import loop_factory

LIMITS = aionet.Limits(message=1000, write_buffer=64 * 1024, outbox=256 * 1024)
TIMEOUTS = aionet.Timeouts(idle=3, message=2, write=2, half_closed=3, drain=2, linger=0.5)


async def repeat_lines(stream: aionet.Stream) -> None:
    async for line in stream.lines():
        await stream.send_all(line + b"\n")


def picture(servers: dict[str, aionet.Server]) -> dict[str, dict[str, object]]:
    return {
        name: {
            "accepted": stats.accepted,
            "open": stats.open,
            "closed": {str(reason): count for reason, count in stats.closed.items() if count},
        }
        for name, stats in ((name, server.stats) for name, server in servers.items())
    }


async def talk_on_stdin(opening: dict[str, Any]) -> None:
    """Open these servers, tell their ports, and how they are for each line; drain at the end."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(each) for name, each in opening.items()}
        ports = {name: server.addresses[0].port for name, server in servers.items()}

        def say(what: object) -> None:
            sys.stdout.write(json.dumps(what) + "\n")
            sys.stdout.flush()

        asked: asyncio.Queue[bytes] = asyncio.Queue()
        loop.add_reader(sys.stdin.fileno(), lambda: asked.put_nowait(sys.stdin.buffer.readline()))
        say(ports)
        while await asked.get():
            gc.collect()  # so that what is left is not merely waiting for the collector
            say(picture(servers))
        loop.remove_reader(sys.stdin.fileno())
        for server in servers.values():
            await server.drain()
        say(picture(servers))


async def main() -> None:
    services = {"echo": aionet.Echo(), "lines": repeat_lines, "chat": aionet.Room(line_limit=1000)}
    await talk_on_stdin(
        {
            name: aionet.serve(service, "tcp://127.0.0.1:0", limits=LIMITS, timeouts=TIMEOUTS)
            for name, service in services.items()
        }
    )


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
        runner.run(main())
