"""A bare protocol that writes what it is given, on rloop, as its page says to use it."""

from __future__ import annotations

import asyncio
import sys

import rloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def main() -> None:
    await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()  # serve_forever() of rloop 0.5 ends the listening


asyncio.set_event_loop_policy(rloop.EventLoopPolicy())
asyncio.run(main())
