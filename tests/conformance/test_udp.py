"""UDP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import time

import pytest
from datagram_flood import datagram_flood

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
        with datagram_flood(nobody.getsockname()[1]):
            control = p99_s()
    with datagram_flood(udp_port):
        eventually(lambda: stats_of(server)["dropped"] > 0, "more comes than it can answer")
        assert p99_s() < max(0.050, 3 * control)
    stats = stats_of(server)
    assert stats["dropped"] > 0
    assert stats["replies"] > 0
    assert client.exchange(b"still there?") == b"still there?"
