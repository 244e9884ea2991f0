"""What the contenders carry out that echo and chat do not ask of them: answers made as they go."""

from __future__ import annotations

import contextlib
import importlib.util
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datagram_flood import datagram_flood
from deadline import DEADLINE_S
from flooded_rooms import HEARD, MEMBERS, heard_of_a_flood

from compare.contenders.__main__ import FRAMEWORKS, NO_DATAGRAMS

ROOT = Path(__file__).parents[3]
PIECE, PIECES = 50_000, 400  # 20 MB, more than the kernel takes for who does not read

SERVER = f"""
import sys
from aionet import command
from aionet.protocol import CLOSE, Service

class Generous(Service):
    def receive_data(self, peer, data):
        if data == b"part":
            return self.part(peer)
        self.later = data == b"later"
        return None if self.later else self.pieces(peer)

    later = False

    def part(self, peer):
        yield from self.pieces(peer)
        yield peer, CLOSE

    def pieces(self, peer):
        for number in range({PIECES}):
            yield peer, bytes([number % 256]) * {PIECE}
        yield peer, b"."

    def receive_eof(self, peer):
        if self.later:
            return self.part(peer)
        return [(peer, b"bye"), (peer, CLOSE)]

class Circular(Service):
    def receive_data(self, peer, data):
        if data == b"ping":
            return data
        if data == b"fail":
            raise LookupError("as told")
        if data == b"too long":
            return [(peer, bytes(70_000))]
        host, port = data.decode().split()
        return [((host, int(port)), data)]

command.SERVICES["echo"] = lambda limits: Generous()
command.SERVICES["udp-echo"] = lambda limits: Circular()
name, service, *words = sys.argv[1:]
if name in ("asyncio", "uvloop"):
    from compare.contenders.asyncio_streams import main
    main(["serve", service, "--loop", name, *words])
else:
    from compare.contenders.__main__ import main
    main(["serve", service, "--framework", name, *words])
"""
SHELLS = [*FRAMEWORKS, "asyncio", "uvloop"]
EXPECTED = b"".join(bytes([number % 256]) * PIECE for number in range(PIECES)) + b"."


@contextlib.contextmanager
def serving(name: str, service: str) -> Iterator[Any]:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    command = [sys.executable, "-c", SERVER, name, service, "--drain-timeout", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        try:
            yield SimpleNamespace(name=name, process=process, address=("127.0.0.1", port))
        finally:
            process.kill()


@pytest.fixture(params=SHELLS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with (
        serving(request.param, "echo") as server,
        socket.create_connection(server.address) as client,
    ):
        client.settimeout(DEADLINE_S)
        server.client = client
        yield server


def receive(client: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer and the end."""
    got = bytearray()
    while len(got) < size and (data := client.recv(min(size - len(got), 65536))):
        got += data
    return bytes(got)


def test_an_answer_that_is_made_as_it_is_read_comes_whole(server):
    server.client.sendall(b"go")
    assert receive(server.client, len(EXPECTED)) == EXPECTED
    server.client.sendall(b"go")  # it is listened to again
    assert receive(server.client, len(EXPECTED)) == EXPECTED


def test_who_has_finished_gets_the_rest_of_its_answer_and_the_last_words(server):
    if server.name == "tornado":
        pytest.skip("an IOStream ends both directions at the peer's end")
    server.client.sendall(b"go")
    server.client.shutdown(socket.SHUT_WR)
    assert receive(server.client, len(EXPECTED) + 3) == EXPECTED + b"bye"
    assert server.client.recv(1) == b""


@pytest.mark.parametrize("pause", [0, 0.1], ids=["fast", "slow"])
@pytest.mark.parametrize("half_closes", [False, True])
def test_a_close_comes_after_the_last_piece_of_a_large_answer(server, half_closes, pause):
    if half_closes and server.name == "tornado":
        pytest.skip("an IOStream ends both directions at the peer's end")
    if half_closes:
        server.client.sendall(b"later")
        server.client.shutdown(socket.SHUT_WR)
    else:
        server.client.sendall(b"part")
    first = receive(server.client, PIECE)
    time.sleep(pause)
    assert first + receive(server.client, len(EXPECTED) - PIECE) == EXPECTED
    assert server.client.recv(1) == b""


def test_a_server_that_is_told_to_stop_sends_the_rest_and_ends_well(server):
    server.client.sendall(b"go")
    first = receive(server.client, PIECE)
    server.process.send_signal(signal.SIGTERM)
    assert first + receive(server.client, len(EXPECTED) - PIECE) == EXPECTED
    if server.name != "tornado":  # see above
        assert receive(server.client, 3) == b"bye"
    assert server.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("name", SHELLS)
def test_members_who_read_hear_all_that_one_says_in_one_packet(name):
    with serving(name, "chat") as server:
        assert heard_of_a_flood(server.address) == [HEARD] * MEMBERS


@pytest.mark.parametrize("resets", [False, True], ids=["dropped", "resets"])
@pytest.mark.parametrize("name", SHELLS)
def test_a_member_that_goes_while_it_is_sent_to_keeps_no_server_from_ending(name, resets):
    with serving(name, "chat") as server, socket.socket() as talker, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for sock in (talker, deaf):
            sock.settimeout(DEADLINE_S)
            sock.connect(server.address)
            sock.sendall(b"talker\n" if sock is talker else b"deaf\n")
            assert sock.recv(9) == b"* Welcome"
        heard = b""
        while b"deaf has left" not in heard:
            if resets and not select.select([], [talker], [], 0.2)[1]:  # for the other is full
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                deaf.close()
                resets = False
            talker.send(b"x" * 4000 + b"\n")
            if select.select([talker], [], [], 0)[0]:
                heard += talker.recv(1000)
        talker.close()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("name", [name for name in FRAMEWORKS if name not in NO_DATAGRAMS])
def test_a_datagram_that_cannot_be_sent_or_must_not_be_costs_nobody_else_anything(name):
    with serving(name, "udp-echo") as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE_S)
        client.connect(server.address)
        _, port = server.address
        for told in (
            *(f"127.0.0.1 {port}", "127.0.0.1 0", "127.0.0.1 7"),
            *("255.255.255.255 5000", "240.0.0.1 5000", "too long", "fail"),
        ):
            client.send(told.encode())
            for _ in range(3):
                client.send(b"ping")
                assert client.recv(100) == b"ping", told
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("name", [name for name in FRAMEWORKS if name not in NO_DATAGRAMS])
def test_a_flood_of_datagrams_does_not_keep_a_server_from_ending(name):
    with serving(name, "udp-echo") as server, datagram_flood(server.address[1]):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_S) == 0
