"""What the hostile hour is held against: `hostile_server.py asyncio|uvloop CERTIFICATE KEY`.

Default limits and timeouts. A line on stdin asks for a line of JSON.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from typing import Any

from server import repeat_lines, talk_on_stdin

import aionet
from aionet.loops import loop_factory
from aionet.protocol import Answer, Service

LARGE = 1 << 20  # an answer
FILE = 256 * LARGE  # for who wants all of them


class Large(Service):
    """For each line a megabyte; for the line `all` 256 of them."""

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return self._answer(peer, data.count(b"\n"), b"all" in data)

    def _answer(self, peer: Any, lines: int, all_of_it: bool) -> Iterator[tuple[Any, bytes]]:
        answer = bytes(LARGE)
        for _ in range(FILE // LARGE if all_of_it else lines):
            yield peer, answer


class Careless(Service):
    """What one says everybody hears, but what begins with `!`, which is said as no bytes."""

    def __init__(self) -> None:
        self._peers: set[Any] = set()

    def connect(self, peer: Any) -> Answer:
        self._peers.add(peer)
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        said: Any = data.decode() if data.startswith(b"!") else data
        return [(each, said) for each in self._peers]

    def receive_eof(self, peer: Any) -> Answer:
        self._peers.discard(peer)
        return [(peer, aionet.CLOSE)]


async def main() -> None:
    tls = aionet.server_context(*sys.argv[2:])
    services = {
        "echo": aionet.Echo(),
        "lines": repeat_lines,
        "chat": aionet.Room(),
        "large": Large(),
        "careless": Careless(),
    }
    await talk_on_stdin(
        {
            **{name: aionet.serve(each, "tcp://127.0.0.1:0") for name, each in services.items()},
            "tls": aionet.serve(aionet.Echo(), "tcp://127.0.0.1:0", tls=tls),
        }
    )


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
        runner.run(main())
