"""UDP in every way of waiting: where answers come from, and what a service may do."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from machine import over_ipv6

from aionet.limits import Limits, Timeouts
from aionet.protocol import Answer, Echo
from blocking.__main__ import MODULES, NO_DATAGRAMS, PREFORK

DEADLINE_S = 20.0
MODELS = [model for model in MODULES if model not in NO_DATAGRAMS]

# A service that answers as it is told, on the class of one model.
TOLD = """
import sys
from importlib import import_module
from aionet.address import Address
from aionet.command import log_to_stderr
from aionet.limits import Limits, Timeouts
from aionet.protocol import CLOSE, Service
from aionet.signals import stop_on_signals
from aionet.sockets import listen

class Told(Service):
    inside = False

    def receive_data(self, peer, data):
        if data == b"fail":
            raise LookupError("as told")
        if data == b"fail late":
            return self.failing(peer)
        if data == b"wrong":
            return [(peer, "no bytes")]
        if data == b"one by one":
            return self.counting(peer)
        if data == b"list":
            return [([peer, peer], b"to each"), (peer, CLOSE)]
        return bytearray(data)

    def failing(self, peer):
        yield peer, b"first"
        raise LookupError("as told")

    def counting(self, peer):
        assert not self.inside, "two threads are in it"
        self.inside = True
        for number in range(1000):
            pass
        yield peer, b"1"
        yield peer, b"2"
        self.inside = False

sys.setswitchinterval(1e-6)
log_to_stderr()
kind = import_module("blocking." + sys.argv[1]).DatagramServer
sock = listen(Address.parse("udp://127.0.0.1:0"))
port = sock.getsockname()[1]
server = kind(sock, Told(), Limits(), Timeouts())
with stop_on_signals(server.drain, server.abort, 5.0):
    print(f"READY udp://127.0.0.1:{port}", flush=True)
    server.serve_forever()
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


def port_of(process: Any) -> int:
    line = process.stdout.readline().decode()
    match = re.fullmatch(r"READY udp://\S+:(\d+)\n", line)
    assert match, process.stderr.read()
    return int(match[1])


def end(process: Any) -> str:
    """What it has logged."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    return str(process.stderr.read().decode())


def client(host: str, port: int) -> socket.socket:
    """A socket that hears only that address."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE_S)
    sock.connect((host, port))
    return sock


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("at", "hosts"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"]),
        over_ipv6("[::]", ["127.0.0.2", "::ffff:127.0.0.2", "::1"]),
    ],
)
def test_the_answer_comes_from_the_address_that_was_asked(
    start: Start, model: str, at: str, hosts: list[str]
) -> None:
    command = ("serve", "udp-echo", "--model", model, "--listen", f"udp://{at}:0")
    process = start("-m", "blocking", *command)
    port = port_of(process)
    for host in hosts:
        with client(host, port) as sock:
            for data in (b"hello", b"", bytes(60_000)):
                sock.send(data)
                assert sock.recv(1 << 16) == data
    assert end(process) == ""


@pytest.mark.parametrize("model", [model for model in MODELS if model not in PREFORK])
def test_a_service_that_fails_costs_its_own_answer(start: Start, model: str) -> None:
    process = start("-c", TOLD, MODULES[model])
    with client("127.0.0.1", port_of(process)) as sock:
        for bad in (b"fail", b"wrong", b"fail late"):
            for _ in range(100):
                sock.send(bad)
            sock.send(b"hello")
            while (heard := sock.recv(100)) != b"hello":
                assert heard == b"first"  # said before it failed
        who = str(sock.getsockname())
    logged = end(process)
    assert logged.count(f"the service failed over a datagram of {who}") < 50
    assert "LookupError: as told" in logged


@pytest.mark.parametrize("model", [model for model in MODELS if model not in PREFORK])
def test_a_service_may_answer_in_every_way(start: Start, model: str) -> None:
    process = start("-c", TOLD, MODULES[model])
    with client("127.0.0.1", port_of(process)) as sock:
        sock.send(b"list")
        assert [sock.recv(100), sock.recv(100)] == [b"to each", b"to each"]
        for _ in range(100):
            sock.send(b"one by one")
        assert sorted(sock.recv(100) for _ in range(200)) == [b"1"] * 100 + [b"2"] * 100
    assert end(process) == ""


class Circular(Echo):
    """Echoes a ping, and sends all else to where it is told."""

    def __init__(self) -> None:
        self.places: list[Any] = []
        self.heard: list[bytes] = []

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        self.heard.append(data)
        return data if data == b"ping" else [(self.places, data), (peer, b"sent")]


@contextlib.contextmanager
def running(model: str, service: Circular, at: str) -> Iterator[int]:
    """A server in a thread; the port."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind((at, 0))
    port: int = sock.getsockname()[1]
    kind = import_module(f"blocking.{MODULES[model]}").DatagramServer
    server = kind(sock, service, Limits(), Timeouts())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield port
    server.drain()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("model", [model for model in MODELS if model not in PREFORK])
@pytest.mark.parametrize("at", ["127.0.0.1", "0.0.0.0"])
def test_nothing_goes_to_the_server_itself_nor_to_ports_that_answer_back(
    model: str, at: str
) -> None:
    service = Circular()
    with running(model, service, at) as port, client("127.0.0.1", port) as sock:
        service.places = [("127.0.0.1", port), ("127.0.0.1", 0), ("127.0.0.1", 7)]
        sock.send(b"round and round")
        assert sock.recv(100) == b"sent"
        for _ in range(10):
            sock.send(b"ping")
            assert sock.recv(100) == b"ping"
    assert service.heard == [b"round and round"] + [b"ping"] * 10


# EACCES for who did not ask for SO_BROADCAST, and where nothing leads: EINVAL, or ENETUNREACH.
NO_WAY = [("255.255.255.255", 5000), ("240.0.0.1", 5000)]


@pytest.mark.parametrize("model", [model for model in MODELS if model not in PREFORK])
def test_who_cannot_be_sent_to_costs_nobody_else_anything(model: str) -> None:
    service = Circular()
    with running(model, service, "127.0.0.1") as port, client("127.0.0.1", port) as sock:
        service.places = NO_WAY
        for data in (b"x", bytes(65507)):
            sock.send(data)
            assert sock.recv(100) == b"sent"
            sock.send(b"ping")
            assert sock.recv(100) == b"ping"
