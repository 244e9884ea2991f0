"""A connection to one of a name's addresses, tried beside each other: happy eyeballs, RFC 8305.

The loops have this, too (`happy_eyeballs_delay`), uvloop excepted; but there a connection that is
made in the same moment in which its task is cancelled stays open for as long as anything refers to
it. Here every socket but the one that is returned is closed.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterable
from typing import Any

STAGGER_S = 0.25  # before the next address is tried beside those before it (section 5)

Place = tuple[socket.AddressFamily, Any]  # a family, and an address of it as in connect(2)


async def connected(host: str, port: int) -> socket.socket:
    """A non-blocking TCP socket that is connected to `host`, a name or an address.

    Raises OSError: of the resolver, of the one address, or in a line those of all of them.
    """
    loop = asyncio.get_running_loop()
    places = interleaved(await _resolved(host, port))
    made: list[socket.socket] = []
    trying: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []

    async def attempt(family: socket.AddressFamily, address: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        made.append(sock)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        return sock

    best: socket.socket | None = None
    try:
        while best is None and (places or trying):
            if places:
                trying.add(asyncio.create_task(attempt(*places.pop(0))))
            done, trying = await asyncio.wait(
                trying,
                timeout=STAGGER_S if places else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (error := task.exception()) is None:
                    best = best or task.result()
                elif isinstance(error, OSError):
                    errors.append(error)
                else:
                    raise error
    finally:
        for task in trying:
            task.cancel()
        if trying:  # a loop must not wait any more for a socket that is closed
            await asyncio.wait(trying)
        for sock in made:
            if sock is not best:
                sock.close()
    if best is None:
        raise _of_all(errors)
    return best


async def _resolved(host: str, port: int) -> list[Place]:
    """In the resolver's order, RFC 6724; of an address without asking anybody."""
    kind = socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
        except socket.gaierror as error:
            raise socket.gaierror(error.errno, f"{error.strerror}: {host!r}") from None
    return [(family, address) for family, _, _, _, address in found]


def interleaved(places: Iterable[Place]) -> list[Place]:
    """The families in turn, each in its order, beginning with that of the first (section 4)."""
    by_family: dict[socket.AddressFamily, list[Place]] = {}
    for place in places:
        by_family.setdefault(place[0], []).append(place)
    turns = itertools.zip_longest(*by_family.values())
    return [place for turn in turns for place in turn if place is not None]


def _of_all(errors: list[OSError]) -> OSError:
    words = list(dict.fromkeys(map(str, errors)))
    return errors[0] if len(words) == 1 else OSError(f"no address answered: {'; '.join(words)}")
