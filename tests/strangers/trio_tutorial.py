"""The echo of trio's tutorial without its printing: what one client raises ends that client."""

from __future__ import annotations

import sys
from functools import partial

import trio


async def echo(stream: trio.SocketStream) -> None:
    try:
        async for data in stream:
            await stream.send_all(data)
    except Exception as error:
        print(f"crashed: {error!r}")  # in the tutorial, too, it ends only this client


trio.run(partial(trio.serve_tcp, echo, int(sys.argv[1]), host="127.0.0.1"))
