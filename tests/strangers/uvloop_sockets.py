"""Echo as uvloop's benchmark has it by default: the loop's sock_recv() and sock_sendall()."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop


async def echo(loop: asyncio.AbstractEventLoop, conn: socket.socket) -> None:
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with conn:
        while data := await loop.sock_recv(conn, 1_000_000):
            await loop.sock_sendall(conn, data)


async def main() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(sys.argv[1])))
        listener.listen(5)
        listener.setblocking(False)
        tasks = set()  # else the collector may take them
        while True:
            conn, _ = await loop.sock_accept(listener)
            tasks.add(task := loop.create_task(echo(loop, conn)))
            task.add_done_callback(tasks.discard)


uvloop.run(main())
