"""A TCP proxy: half-close, back-pressure and resets go through in both directions.

python docs/examples/proxy.py tcp://127.0.0.1:7030 tcp://127.0.0.1:7001
"""

import logging
import sys
from collections.abc import Awaitable, Callable

import aionet


def to(upstream: str) -> Callable[[aionet.Stream], Awaitable[None]]:
    async def handler(stream: aionet.Stream) -> None:
        try:
            other = await aionet.connect(upstream, timeout=5)
        except OSError as error:
            logging.warning("no connection to %s: %s", upstream, error)
            stream.abort()
            return
        await aionet.relay(stream, other)

    return handler


if __name__ == "__main__":
    where, upstream = sys.argv[1:]
    raise SystemExit(aionet.run(to(upstream), where, limits=aionet.Limits(connections=400)))
