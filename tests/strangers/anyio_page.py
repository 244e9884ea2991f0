"""The server of anyio's page on networking, in a loop, so that it echoes more than one message."""

from __future__ import annotations

import sys

import anyio
from anyio.abc import SocketStream


async def echo(client: SocketStream) -> None:
    async with client:
        async for data in client:
            await client.send(data)


async def main() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=int(sys.argv[1]))
    await listener.serve(echo)


anyio.run(main)
