"""A chat from the terminal on asyncio: one task listens, another talks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

from aionet.cli.chat_client import LEAVE_TIMEOUT_S, ChatClient
from aionet.command import connect_or_exit, fail, show
from aionet.signals import end_at_once
from aionet.sockets import RECV_SIZE

STDIN, STDOUT = 0, 1


async def chat(host: str, port: int, name: str) -> int:
    """Join the room at `host` and `port`; 0 once the person has left.

    Whatever else ends it is one line on stderr and exit 1; Ctrl-C is exit 130.
    """
    signal.signal(signal.SIGINT, end_at_once)
    try:
        client = ChatClient(name, terminal=os.isatty(STDOUT))
    except ValueError as error:
        fail(str(error))
    # In a thread, because looking a name up blocks.
    with await asyncio.to_thread(connect_or_exit, host, port) as sock:
        sock.setblocking(False)
        try:
            left = await _converse(sock, client)
        except OSError as error:
            fail(f"the connection is lost: {error}")
    if not left or client.refused:
        fail("the server closed the connection")
    return 0


async def _converse(sock: socket.socket, client: ChatClient) -> bool:
    """Listen and talk until one side ends it: True when the person does."""
    leaving = asyncio.timeout(None)
    talking = asyncio.create_task(_talk(sock, client, leaving))
    try:
        async with leaving:
            await _listen(sock, client)
    except TimeoutError:
        if not leaving.expired():  # the connection's own, ETIMEDOUT
            raise
    finally:
        talking.cancel()
    return leaving.when() is not None


async def _listen(sock: socket.socket, client: ChatClient) -> None:
    """Show what the server sends until it closes. Raises OSError when it resets."""
    loop = asyncio.get_running_loop()
    data = b"more"
    while data:
        data = await loop.sock_recv(sock, RECV_SIZE)
        show(client.receive_data(data))


async def _talk(sock: socket.socket, client: ChatClient, leaving: asyncio.Timeout) -> None:
    """Send what is typed, reading no more of it until that is sent; then half-close."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, client.first_line)
        while typed := await _read_stdin():
            await loop.sock_sendall(sock, client.send_data(typed))
        await loop.sock_sendall(sock, client.send_data(b""))
        sock.shutdown(socket.SHUT_WR)
    except OSError:  # the server is gone; listening tells how, after its last words
        return
    leaving.reschedule(loop.time() + LEAVE_TIMEOUT_S)


async def _read_stdin() -> bytes:
    """What is typed next; b"" at the end.

    stdin stays blocking. It is shared with the shell and with stdout; a transport would
    make it non-blocking for them, too.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(STDIN, readable.set)
        await readable.wait()
    except PermissionError:  # epoll has no use for files and /dev/null: they never block
        await asyncio.sleep(0)
    finally:
        loop.remove_reader(STDIN)
    try:
        return os.read(STDIN, RECV_SIZE)
    except OSError:  # a terminal that is gone
        return b""
