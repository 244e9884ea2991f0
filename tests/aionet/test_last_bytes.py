"""To end a connection comes after the last byte, whoever asks for it and however it is read."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run
from services import FAREWELL, Parting
from tls_clients import connect

from aionet.server import serve


@pytest.mark.parametrize("is_slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("how", ["close", "half-close", "over TLS"])
def test_a_close_comes_after_the_last_piece_of_a_large_answer(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, how: str, is_slow: bool
) -> None:
    async def main() -> None:
        server_tls, client_tls = (tls, trusting) if how == "over TLS" else (None, None)
        options = {"receive_buffer": 8192, "limit": 1024} if is_slow else {}
        async with (
            serve(Parting(), ANY, tls=server_tls) as server,
            connect(server, client_tls, **options) as (reader, writer),
        ):
            if how == "half-close":
                writer.write_eof()
            else:
                writer.write(b"go")
            received = await reader.readexactly(len(FAREWELL) // 4)
            await asyncio.sleep(0.02 if is_slow else 0)
            assert received + await reader.read() == FAREWELL

    run(main())
