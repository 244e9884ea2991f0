"""Ask a UDP server."""

from __future__ import annotations

import asyncio
import socket

from aionet.address import Address
from aionet.sockets import RECV_SIZE


class DatagramClient:
    """A UDP socket that talks to one address, and hears nobody else. Made by `connect_datagram`.

    Nothing is sent again, and what came is kept by the kernel, as far as its buffer goes. `async
    with` closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.address = sock.getpeername()

    def send(self, data: bytes) -> bool:
        """Send one datagram; False if the kernel does not take it now."""
        try:
            self._sock.send(data)
        except OSError:  # a full buffer, or what became of an earlier one: see receive()
            return False
        return True

    async def receive(self) -> bytes:
        """The next datagram, which may be empty. Give it a time: `async with asyncio.timeout(1)`.

        Raises OSError, such as ConnectionRefusedError: nobody listens there (ICMP, udp(7)).
        """
        return await asyncio.get_running_loop().sock_recv(self._sock, RECV_SIZE)

    def close(self) -> None:
        self._sock.close()

    async def __aenter__(self) -> DatagramClient:
        return self

    async def __aexit__(self, *ignored: object) -> None:
        self.close()


async def connect_datagram(address: str | Address) -> DatagramClient:
    """A client of the server at `address`, `udp://HOST:PORT`; the first address of a name.

        async with await aionet.connect_datagram("udp://127.0.0.1:7003") as client:
            client.send(b"hello")
            async with asyncio.timeout(1):
                answer = await client.receive()

    Raises ValueError for another address, and OSError where it is not known or has no way there.
    """
    place = Address.parse(address) if isinstance(address, str) else address
    if place.scheme != "udp":
        raise ValueError(f"{place} is nothing to send datagrams to; use udp://HOST:PORT")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, where = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return DatagramClient(sock)
