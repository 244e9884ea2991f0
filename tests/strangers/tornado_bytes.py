"""Echo on Tornado's TCPServer: whatever there is, by read_bytes(partial=True)."""

from __future__ import annotations

import asyncio
import sys

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer


class Echo(TCPServer):
    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        while True:
            try:
                data = await stream.read_bytes(64 * 1024, partial=True)
                await stream.write(data)
            except StreamClosedError:
                break


async def main() -> None:
    Echo().listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
