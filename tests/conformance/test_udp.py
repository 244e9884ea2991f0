"""UDP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

LARGEST = 65507  # what fits into an IPv4 packet
LOOPS = ["asyncio", "uvloop"]

# Echo on all addresses, on one loop; SIGUSR1 has it tell its counters.
COUNTING = """
import asyncio, dataclasses, json, signal, sys
from aionet import Echo, Limits, serve
from aionet.loops import loop_factory

async def main(rate, *addresses):
    limits = Limits(udp_rate_loopback=int(rate) or None)
    async with serve(Echo(), *addresses, limits=limits) as server:
        stopped = server.catch_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell, server)
        for address in server.addresses:
            print("READY", address, flush=True)
        await stopped.wait()

def tell(server):
    stats = server.stats
    print(json.dumps({name: getattr(stats, name) for name in
        ("datagrams", "replies", "unanswered", "dropped")}), flush=True)

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main(*sys.argv[2:]))
"""


def stats_of(server) -> dict[str, int]:
    os.kill(server.pid, signal.SIGUSR1)
    return json.loads(server.line())


def assert_answers(sock: socket.socket) -> None:
    sock.send(b"still there?")
    assert sock.recv(100) == b"still there?"


def heard(sock: socket.socket) -> list[bytes]:
    """What there is to read now."""
    datagrams = []
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            datagrams.append(sock.recv(2 * LARGEST))
    return datagrams


@pytest.mark.fault("udp/1")
@pytest.mark.parametrize("size", [0, 1, 1472, LARGEST])
def test_datagram_comes_back_whole(udp_echo, size):
    datagram = random.Random(7).randbytes(size)
    client = udp_echo.udp()
    client.send(datagram)
    assert client.recv(2 * LARGEST) == datagram
    assert_answers(client)


@pytest.mark.fault("udp/1")
def test_datagrams_keep_their_boundaries(udp_echo):
    client = udp_echo.udp()
    datagrams = [b"%d" % size * size for size in range(50)]
    with udp_echo.paused():  # so all are there when it looks
        for datagram in datagrams:
            client.send(datagram)
    echoes = [client.recv(2 * LARGEST) for _ in datagrams]
    assert sorted(echoes) == sorted(datagrams)  # UDP promises no order


def forge(source_port: int, address: tuple[str, int], payload: bytes, count: int) -> None:
    """Send datagrams as if somebody else on this machine did."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("forging a source port takes a raw socket, which takes CAP_NET_RAW")
    host, port = address
    header = struct.pack("!4H", source_port, port, 8 + len(payload), 0)  # RFC 768; no checksum
    with raw:
        for _ in range(count):
            raw.sendto(header + payload, (host, 0))


@pytest.mark.fault("udp/2")
def test_datagram_from_port_0_is_survived(udp_echo):
    forge(0, udp_echo.address, b"nobody can answer this", count=10)
    assert_answers(udp_echo.udp())


def privileged_udp(server, port: int) -> socket.socket:
    """From an address that no other test uses now: there is one port 7 on each."""
    pid = os.getpid()
    try:
        return server.udp(source=(f"127.1.{pid >> 8 & 255}.{pid & 255}", port))
    except PermissionError:
        pytest.skip("a source port below 1024 takes CAP_NET_BIND_SERVICE")


@pytest.mark.fault("udp/3", models=LOOPS)
def test_ports_below_1024_get_no_reply(udp_echo):
    services = [privileged_udp(udp_echo, port) for port in (7, 19, 1023)]
    for service in services:
        service.send(b"are you an echo server, too?")
    assert_answers(privileged_udp(udp_echo, 1024))  # after all before it
    assert not any(heard(service) for service in services)


@pytest.mark.fault("udp/4", models=LOOPS)
def test_two_echo_servers_spoofed_at_each_other_fall_silent(serve, eventually):
    rate, forged, start = 100, 20, time.monotonic()
    servers = [serve.script(COUNTING, str(rate), "udp://127.0.0.1:0") for _ in range(2)]
    one, other = servers
    forge(other.port, one.address, b"hello, it is me", count=forged)

    def total(counter: str) -> int:
        return sum(stats_of(server)[counter] for server in servers)

    eventually(lambda: total("unanswered") == forged, "each of them was left unanswered once")
    for server in servers:
        stats = stats_of(server)
        assert stats["replies"] <= rate * (1 + time.monotonic() - start)
    assert total("replies") > 2 * forged  # they did talk to each other


@pytest.mark.fault("udp/4", models=LOOPS)
def test_source_over_its_rate_gets_no_reply_and_others_do(serve, eventually):
    rate = 10
    echo = serve("udp-echo", "--udp-rate-loopback", str(rate))
    source, other = echo.udp(), echo.udp(source=("127.0.0.2", 0))
    with echo.paused():  # so it reads all in one second, or at most in two
        for _ in range(5 * rate):
            source.send(b"hello")
    assert_answers(other)
    assert rate <= len(heard(source)) <= 2 * rate

    def is_answered() -> bool:
        source.send(b"and now?")
        return b"and now?" in heard(source)

    eventually(is_answered, "it is answered in another second")


@pytest.mark.fault("udp/5", models=LOOPS)
def test_broadcast_and_multicast_are_not_answered(serve):
    echo = serve("udp-echo", "--listen", "udp://0.0.0.0:0")
    client = echo.udp(to=("127.0.0.1", echo.port))
    with socket.socket(type=socket.SOCK_DGRAM) as asker:  # hears whoever answers
        asker.bind(("127.0.0.1", 0))
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        asker.sendto(b"anybody there?", ("127.255.255.255", echo.port))
        with contextlib.suppress(OSError):  # the loopback interface may know no groups
            asker.sendto(b"anybody there?", ("224.0.0.1", echo.port))
        assert_answers(client)
        assert heard(asker) == []


FLOOD = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.connect(("127.0.0.1", int(sys.argv[1])))
print("READY", flush=True)
while True:
    try:
        sock.send(bytes(100))
    except OSError:  # a full queue, or nobody there
        pass
"""


@contextlib.contextmanager
def flood(port: int):
    process = subprocess.Popen([sys.executable, "-c", FLOOD, str(port)], stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout.readline() == b"READY\n"
            yield
        finally:
            process.kill()


@pytest.mark.fault("udp/7", models=LOOPS)
def test_flood_does_not_slow_down_tcp_on_the_same_loop(serve, eventually):
    server = serve.script(COUNTING, "0", "tcp://127.0.0.1:0", "udp://127.0.0.1:0", addresses=2)
    _, (_, udp_port) = server.addresses
    client = server.connect()

    def p99_s() -> float:
        samples = []
        for _ in range(200):
            start = time.perf_counter()
            assert client.exchange(b"ping") == b"ping"
            samples.append(time.perf_counter() - start)
        return sorted(samples)[len(samples) * 99 // 100]

    with socket.socket(type=socket.SOCK_DGRAM) as nobody:  # as busy a machine, but for the loop
        nobody.bind(("127.0.0.1", 0))
        with flood(nobody.getsockname()[1]):
            control = p99_s()
    with flood(udp_port):
        eventually(lambda: stats_of(server)["dropped"] > 0, "more comes than it can answer")
        assert p99_s() < max(0.050, 3 * control)
    stats = stats_of(server)
    assert stats["dropped"] > 0
    assert stats["replies"] > 0
    assert client.exchange(b"still there?") == b"still there?"


@pytest.mark.fault("udp/6")
def test_reply_that_is_refused_harms_nobody(udp_echo):
    client = udp_echo.udp()
    assert_answers(client)
    with udp_echo.paused():  # so the sender is gone when its datagram is read
        for _ in range(20):
            gone = udp_echo.udp()
            gone.send(b"hello")
            gone.close()
    for _ in range(20):
        assert_answers(client)
