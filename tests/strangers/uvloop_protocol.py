"""Echo as uvloop's benchmark has it with --proto: a bare protocol that writes what it is given."""

from __future__ import annotations

import asyncio
import sys

import uvloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


loop = uvloop.new_event_loop()
server = loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", int(sys.argv[1])))
loop.run_forever()
