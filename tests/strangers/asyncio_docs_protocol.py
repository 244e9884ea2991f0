"""The echo of asyncio's page on protocols: one piece of text back, then the end."""

from __future__ import annotations

import asyncio
import sys


class EchoOnce(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        message = data.decode()
        self.transport.write(message.encode())
        self.transport.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(EchoOnce, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
