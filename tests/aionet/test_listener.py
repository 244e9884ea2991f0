"""Accepting that can be paused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from loop_runs import Run

from aionet.listener import Listener

MANY = 20


def test_who_connects_while_the_last_are_accepted_does_not_keep_the_listener_open(
    run: Run[Any],
) -> None:
    accepted: list[asyncio.BaseTransport] = []
    with contextlib.ExitStack() as clients:

        def connect() -> None:
            if len(accepted) < MANY:
                clients.enter_context(socket.create_connection(sock.getsockname()))

        class Connects(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(transport)
                connect()

        async def main() -> None:
            listener = Listener(asyncio.get_running_loop(), sock, Connects)
            for _ in range(3):
                connect()
            await listener.accept_pending()
            for transport in accepted:
                transport.close()
            await asyncio.sleep(0)

        with socket.create_server(("127.0.0.1", 0)) as sock:
            sock.setblocking(False)
            run(main())
    assert len(accepted) == 3
