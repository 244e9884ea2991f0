"""The least that echoes on a Protocol: `bare_protocol asyncio`, or uvloop; and a host, if any."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def main(host: str) -> None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=4096)
    # asyncio sets TCP_NODELAY only on sockets that name their protocol.
    listener = socket.socket(proto=socket.IPPROTO_TCP, fileno=listener.detach())
    server = await loop.create_server(Echo, sock=listener, backlog=4096)
    where = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"READY tcp://{where}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    # Freed once, a large block teaches malloc to keep memory for the loop's 256 KiB reads;
    # without it this server takes four times the CPU. It is shown at its best.
    bytes(1024 * 1024)
    serving = main(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1")
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(serving)
    else:
        asyncio.run(serving)
