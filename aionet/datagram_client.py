"""Ask a UDP server."""

from __future__ import annotations

import asyncio
import socket

from aionet.address import Address, address_in
from aionet.given import as_bytes
from aionet.sockets import RECV_SIZE


class DatagramClient:
    """A UDP socket that talks to one address, and hears nobody else. Made by `connect_datagram`.

    Nothing is sent again, and what came is kept by the kernel, as far as its buffer goes. `async
    with` closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self.address = sock.getpeername()

    def send(self, data: bytes) -> bool:
        """Send one datagram; False if the kernel does not take it now.

        Raises TypeError for what is not bytes.
        """
        try:
            self._sock.send(as_bytes("send", data))
        except OSError:  # a full buffer, or what became of an earlier one: see receive()
            return False
        return True

    async def receive(self) -> bytes:
        """The next datagram, which may be empty. Give it a time: `async with asyncio.timeout(1)`.

        Raises OSError, such as ConnectionRefusedError: nobody listens there (ICMP, udp(7)), also
        if it is closed meanwhile; and RuntimeError if another task waits for the same.
        """
        while True:
            try:
                return self._sock.recv(RECV_SIZE)
            except BlockingIOError:
                await self._arrival()
            except OSError:
                await asyncio.sleep(0)  # who passes over that for ever must not keep the loop
                raise

    async def _arrival(self) -> None:
        if self._waiting is not None:
            raise RuntimeError("another task is receiving from this client")
        self._waiting = waiting = self._loop.create_future()
        self._loop.add_reader(self._sock, self._wake)
        try:
            await waiting
        finally:
            self._waiting = None
            if self._sock.fileno() >= 0:
                self._loop.remove_reader(self._sock)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)  # its number may be somebody else's afterwards
            self._sock.close()
            self._wake()  # to be told that it is closed

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
    place = address_in(address)
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
