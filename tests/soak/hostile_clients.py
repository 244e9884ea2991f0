"""Who comes to a server in the hostile hour: attackers of every kind, and witnesses.

`hostile_clients.py attack|witness PORTS` is a process of them, until its stdin ends; then it says
what came of it as a line of JSON. It ends with status 1 when one was not treated as promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from soak import RESET

PATIENCE_S = 60.0  # longer than Timeouts.write and .message, on a busy machine, too
EVERY_S = 0.05
SLOW = 64  # bytes a second: less than Limits.min_rate
MIB = 1 << 20


class TroubleError(Exception):
    """Somebody was not treated as promised."""


class Attackers:
    """Each method is one life of one attacker."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(1)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    async def connect(self, name: str, receive_buffer: int | None = None) -> socket.socket:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await self._loop.sock_connect(sock, ("127.0.0.1", self._ports[name]))
        return sock

    async def fill(self, sock: socket.socket, data: bytes) -> int:
        """Send until nothing more goes for a second; how many bytes went."""
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(1.0):
                    await self._loop.sock_sendall(sock, data)
                sent += len(data)
        return sent

    async def until_it_ends(self, sock: socket.socket) -> None:
        """Without reading: SO_ERROR, or a FIN behind all that is not read, is not seen for long."""
        for second in range(int(PATIENCE_S)):
            # A reset behind what did not fit in our window is dropped by our kernel, so the server
            # may be rid of us and we not know. To what we send it answers with a reset that counts.
            if second > PATIENCE_S / 2 and second % 10 == 0:
                with contextlib.suppress(OSError):
                    sock.send(b"\n")
            await asyncio.sleep(1.0)
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            if info[0] != 1:  # TCP_ESTABLISHED
                return
        raise TroubleError("who takes nothing was kept")

    async def ask_for_much_and_read_nothing(self) -> None:
        with await self.connect("large") as sock:
            await self._loop.sock_sendall(sock, b"\n" * 65536)
            await self.until_it_ends(sock)

    async def echo_and_read_nothing(self) -> None:
        with await self.connect("echo") as sock:
            await self.fill(sock, bytes(65536))
            await self.until_it_ends(sock)

    async def read_a_byte_now_and_then(self) -> None:
        with await self.connect("large", 4096) as sock, contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(sock, b"all\n")
            until = time.monotonic() + 2 * PATIENCE_S
            while await self._loop.sock_recv(sock, SLOW):
                if time.monotonic() > until:
                    raise TroubleError(f"who takes {SLOW} bytes a second was kept")
                await asyncio.sleep(1.0)

    async def listen_to_a_room_without_reading(self) -> None:
        with await self.connect("chat", 4096) as sock:
            await self._loop.sock_sendall(sock, b"s%d\n" % self._random.getrandbits(60))
            with contextlib.suppress(TroubleError):  # nobody may have said enough
                await self.until_it_ends(sock)

    async def flood_a_room(self) -> None:
        with await self.connect("chat") as sock:
            reading = asyncio.create_task(self._read_all(sock))
            with contextlib.suppress(ConnectionError):
                await self._loop.sock_sendall(sock, b"f%d\n" % self._random.getrandbits(60))
                for _ in range(1000):
                    await self._loop.sock_sendall(sock, b"x" * 4000 + b"\n")
                    await asyncio.sleep(0.02)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read_all(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while await self._loop.sock_recv(sock, MIB):
                pass

    async def trickle_a_line(self) -> None:  # slowloris
        with await self.connect("lines") as sock, contextlib.suppress(ConnectionError):
            for _ in range(int(PATIENCE_S)):
                await self._loop.sock_sendall(sock, b"x")
                await asyncio.sleep(1.0)
            raise TroubleError("who trickles a line was kept")

    async def send_a_line_without_end(self) -> None:
        with await self.connect("lines") as sock, contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await self._loop.sock_sendall(sock, bytes(65536))
                await asyncio.sleep(0.01)  # beyond Timeouts.linger
            raise TroubleError("a line without end was taken")

    async def reset(self) -> None:
        name = self._random.choice(("echo", "lines", "chat", "large", "careless", "tls"))
        with await self.connect(name) as sock:
            await self._loop.sock_sendall(sock, self._random.choice((b"x", b"x\n", b"all\n")))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await asyncio.sleep(0.01)

    async def half_close_and_read_late(self) -> None:
        """Legal, and all of it must come."""
        with await self.connect("echo") as sock:
            data, echoed = self._random.randbytes(2 * MIB), b""
            sending = asyncio.create_task(self._loop.sock_sendall(sock, data))
            while len(echoed) < MIB:
                echoed += await self._loop.sock_recv(sock, 65536)
            await sending
            sock.shutdown(socket.SHUT_WR)
            await asyncio.sleep(3.0)
            while piece := await self._loop.sock_recv(sock, 65536):
                echoed += piece
            if echoed != data:
                raise TroubleError(
                    f"{len(echoed)} of {len(data)} bytes came back after a half-close"
                )

    async def download_for_longer_than_idle(self) -> None:
        """Legal, too: it reads steadily, and says nothing."""
        with await self.connect("large") as sock:
            await self._loop.sock_sendall(sock, b"all\n")
            sock.shutdown(socket.SHUT_WR)
            came = 0
            while piece := await self._loop.sock_recv(sock, 65536):
                came += len(piece)
                await asyncio.sleep(len(piece) / (700 * 1024))
            if came != 256 * MIB:
                raise TroubleError(f"{came} bytes of a long answer came")

    async def come_back_over_tls(self) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._ports["tls"], ssl=self._tls
        )
        writer.write(b"hello")
        if await reader.readexactly(5) != b"hello":
            raise TroubleError("an echo over TLS was another")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def half_close_over_tls_and_hardly_read(self) -> None:
        wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._tls.wrap_bio(wire_in, wire_out, server_hostname="127.0.0.1")
        with await self.connect("tls", 4096) as sock:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._loop.sock_sendall(sock, wire_out.read())
                    wire_in.write(await self._loop.sock_recv(sock, 65536))
            with contextlib.suppress(TimeoutError):
                while True:
                    tls.write(bytes(8192))
                    async with asyncio.timeout(1.0):
                        await self._loop.sock_sendall(sock, wire_out.read())
            sock.shutdown(socket.SHUT_WR)
            until = time.monotonic() + 2 * PATIENCE_S
            with contextlib.suppress(ConnectionError):
                while await self._loop.sock_recv(sock, SLOW):
                    if time.monotonic() > until:
                        raise TroubleError("who hardly reads over TLS was kept")
                    await asyncio.sleep(1.0)

    async def speak_no_tls(self) -> None:
        with await self.connect("tls") as sock, contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(sock, self._random.randbytes(300))
            while await self._loop.sock_recv(sock, 65536):
                pass

    async def make_the_service_fail(self) -> None:
        with await self.connect("careless") as sock, contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(sock, b"!")
            while await self._loop.sock_recv(sock, 65536):
                pass
        await asyncio.sleep(1.0)

    async def say_nothing(self) -> None:
        with await self.connect("echo"):
            await asyncio.sleep(PATIENCE_S)


KINDS = [name for name in vars(Attackers) if not name.startswith(("_", "connect", "fill", "until"))]


class Witnesses:
    """Each asks one server the same, again and again, over one connection."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self.waits: dict[str, list[float]] = {}

    async def ask(self, name: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[name])
        if name == "chat":
            writer.write(b"witness\n")
            await self._until(reader, b"contains: ")
            other, hears = await asyncio.open_connection("127.0.0.1", self._ports[name])
            hears.write(b"listener\n")
            await self._until(other, b"contains: ")
            skipping = asyncio.create_task(reader.read(-1))
        waits = self.waits.setdefault(name, [])
        number = 0
        while True:
            number += 1
            said = b"question %d\n" % number
            began = time.monotonic()
            writer.write(said)
            await self._until(other if name == "chat" else reader, said)
            waits.append(time.monotonic() - began)
            await asyncio.sleep(EVERY_S)
            if name == "chat" and skipping.done():
                raise TroubleError(
                    f"a witness was closed; it heard last {skipping.result()[-300:]!r}"
                )

    async def _until(self, reader: asyncio.StreamReader, said: bytes) -> None:
        while said not in await reader.readuntil(b"\n"):
            pass


async def attack(ports: dict[str, int], say: Callable[[object], None]) -> None:
    attackers = Attackers(ports)
    lives: Counter[str] = Counter()

    async def live(name: str) -> None:
        while True:
            await getattr(attackers, name)()
            lives[name] += 1

    await _beside([live(name) for name in KINDS], lambda: say(lives))


async def witness(ports: dict[str, int], say: Callable[[object], None]) -> None:
    witnesses = Witnesses(ports)
    names = ("echo", "lines", "chat", "careless")
    await _beside([witnesses.ask(name) for name in names], lambda: say(witnesses.waits))


async def _beside(work: list[Awaitable[None]], say: Callable[[], None]) -> None:
    """Until stdin ends; then it is told what came of it."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    tasks = [asyncio.ensure_future(each) for each in work]
    waiting = asyncio.ensure_future(ended.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()  # raises
    say()


if __name__ == "__main__":
    side = attack if sys.argv[1] == "attack" else witness
    asyncio.run(side(json.loads(sys.argv[2]), lambda what: print(json.dumps(what))))
