"""A server of frames that passes every check, on asyncio streams: `frames_asyncio.py PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
import sys

PORT = int(sys.argv[1])
MOST = 1024 * 1024


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            if length > MOST or length % 4:
                break
            body = await reader.readexactly(length)
            total = sum(struct.unpack(f"!{length // 4}i", body))
            writer.write(struct.pack("!Iq", 8, total))
            await writer.drain()
    writer.close()


async def main() -> None:
    try:
        server = await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=4096)
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with server:
        await told.wait()


asyncio.run(main())
