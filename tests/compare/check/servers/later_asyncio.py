"""A server that answers later and passes every check, on an asyncio Protocol: `... PORT`."""

from __future__ import annotations

import asyncio
import signal
import sys

PORT = int(sys.argv[1])
LONGEST_MS, LONGEST = 60_000, 1000


class Later(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.unread = b""
        self.timers: set[asyncio.TimerHandle] = set()

    def data_received(self, data: bytes) -> None:
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            ms, blank, text = line.partition(b" ")
            if not (blank and ms.isdigit() and int(ms) <= LONGEST_MS and len(text) <= LONGEST):
                self.transport.close()
                return
            self.remind(int(ms) / 1000, text + b"\n")
        if len(self.unread) > LONGEST + len("60000 "):
            self.transport.close()

    def remind(self, seconds: float, text: bytes) -> None:
        def say() -> None:
            self.timers.discard(timer)
            self.transport.write(text)

        timer = asyncio.get_running_loop().call_later(seconds, say)
        self.timers.add(timer)

    def connection_lost(self, error: Exception | None) -> None:
        for timer in self.timers:
            timer.cancel()


async def main() -> None:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(Later, "127.0.0.1", PORT, backlog=4096)
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    async with server:
        await told.wait()


asyncio.run(main())
