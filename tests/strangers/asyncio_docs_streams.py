"""The echo of asyncio's page on streams: one message of up to 100 bytes of text, then the end."""

from __future__ import annotations

import asyncio
import sys


async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    message = (await reader.read(100)).decode()
    writer.write(message.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    server = await asyncio.start_server(echo_once, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
