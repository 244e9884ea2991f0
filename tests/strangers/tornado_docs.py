"""The echo of Tornado's page on TCPServer: lines, by read_until()."""

from __future__ import annotations

import asyncio
import sys

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer


class Echo(TCPServer):
    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        while True:
            try:
                line = await stream.read_until(b"\n")
                await stream.write(line)
            except StreamClosedError:
                break


async def main() -> None:
    Echo().listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
