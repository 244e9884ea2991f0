"""What a service does, and what that costs whom, with every model."""

from __future__ import annotations

import contextlib
import itertools
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from blocking_servers import MODULES, TOGETHER, exchange, receive, receive_rest, running
from deadline import DEADLINE_S, wait_until
from flooded_rooms import HEARD, MEMBERS, heard_of_a_flood
from services import FAREWELL, Parting

from aionet.limits import Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Delivery, Echo, Room
from aionet.sockets import RECV_SIZE

MIB = 1024 * 1024
CHUNK = bytes(range(256)) * 256
LARGE = CHUNK * 256  # 16 MiB
LINGER_S = 0.3
all_models = pytest.mark.parametrize("module", MODULES)
together = pytest.mark.parametrize("module", TOGETHER)


class Commands(Echo):
    """Does what it is told; echoes what it does not know."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.made = 0  # chunks
        self.stopped = threading.Event()
        self.ends = 0

    def connect(self, peer: Any) -> Answer:
        self.peers.append(peer)
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        match data:
            case b"bytes":
                return LARGE
            case b"list":
                return [(peer, CHUNK)] * 256
            case b"generator":
                return self._chunks(peer, 256)
            case b"few":
                return self._chunks(peer, 2)
            case b"for ever":
                return self._chunks(peer, 1 << 40)
            case b"tell all":
                others = [each for each in self.peers if each is not peer]
                return [(others, b"news"), (peer, LARGE)]
            case b"fail":
                raise LookupError("as told")
            case b"fail later":
                return self._failing(peer)
            case b"quit":
                return [(peer, LARGE), (peer, CLOSE)]
        return data

    def receive_eof(self, peer: Any) -> Answer:
        self.peers.remove(peer)
        self.ends += 1
        return CLOSE

    def _chunks(self, peer: Any, count: int) -> Iterator[Delivery]:
        try:
            for _ in range(count):
                self.made += 1
                yield peer, CHUNK
        finally:
            self.stopped.set()

    def _failing(self, peer: Any) -> Iterator[Delivery]:
        yield peer, b"so far"
        raise LookupError("as told")


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aionet")


# A large answer.


@all_models
@pytest.mark.parametrize("how", [b"bytes", b"list", b"generator"])
def test_who_reads_fairly_gets_all_of_a_large_answer(module: str, how: bytes) -> None:
    with running(module, Commands()) as server:
        sock = server.connect(receive_buffer=128 * 1024)
        for _ in range(2):
            sock.sendall(how)
            received = bytearray()
            for n in itertools.count():
                received += sock.recv(256 * 1024)
                if len(received) >= len(LARGE):
                    break
                if n < 20:
                    time.sleep(0.005)
            assert received == LARGE
        assert exchange(sock, b"and now?") == b"and now?"


@all_models
def test_who_took_all_of_a_generator_at_once_is_listened_to_again(module: str) -> None:
    """There is no wait for room after the last piece, and nothing comes that would tell."""
    with running(module, Commands()) as server:
        sock = server.connect()
        for _ in range(20):
            assert exchange(sock, b"few") == CHUNK[:3]
            assert receive(sock, 2 * len(CHUNK) - 3) == CHUNK[3:] + CHUNK


@all_models
def test_what_was_sent_behind_a_large_answer_is_answered_after_it(module: str) -> None:
    with running(module, Commands()) as server:
        sock = server.connect(receive_buffer=64 * 1024)
        sock.sendall(b"generator")
        assert receive(sock, len(CHUNK)) == CHUNK
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert receive_rest(sock) == LARGE[len(CHUNK) :] + b"hello"


@all_models
def test_generator_is_asked_on_only_as_the_peer_reads_and_closed_when_it_goes(module: str) -> None:
    service = Commands()
    with running(module, service) as server:
        sock = server.connect(receive_buffer=4096)
        sock.sendall(b"for ever")
        made = -1
        while made != service.made:  # until the kernel's buffers are full
            made = service.made
            time.sleep(0.3)
        assert 0 < made * len(CHUNK) < 16 * MIB
        sock.close()
        assert service.stopped.wait(DEADLINE_S)


@together
def test_others_are_told_at_once_by_who_does_not_read_its_own_answer(module: str) -> None:
    with running(module, Commands()) as server:
        other = server.served()
        server.connect(receive_buffer=4096).sendall(b"tell all")
        start = time.monotonic()
        assert receive(other, 4) == b"news"
        assert time.monotonic() - start < DEADLINE_S / 2


@together
def test_long_answer_to_one_lets_others_have_their_turn(module: str) -> None:
    with running(module, Commands()) as server:
        greedy, other = server.connect(), server.connect()
        stop = threading.Event()

        def drink() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set() and greedy.recv(MIB):
                    pass

        thread = threading.Thread(target=drink)
        greedy.sendall(b"for ever")
        thread.start()
        try:
            for _ in range(20):
                assert exchange(other, b"hello") == b"hello"
        finally:
            stop.set()
            thread.join(DEADLINE_S)


# A service that fails.


@all_models
@pytest.mark.usefixtures("_quiet")
def test_service_that_raises_costs_only_the_peer_that_it_raised_over(module: str) -> None:
    service = Commands()
    with running(module, service) as server:
        for number in range(100):
            with server.connect() as sock:
                sock.sendall((b"fail", b"fail later")[number % 2])
                with pytest.raises(ConnectionResetError):
                    receive_rest(sock)
        with server.served():
            wait_until(lambda: service.ends == 100, "the service is told of each end")


@together
@pytest.mark.usefixtures("_quiet")
def test_who_is_connected_when_the_service_fails_is_served_on(module: str) -> None:
    with running(module, Commands()) as server:
        others = [server.served() for _ in range(3)]
        server.connect().sendall(b"fail")
        for _ in range(10):
            assert all(exchange(sock, b"hello") == b"hello" for sock in others)


@all_models
@pytest.mark.parametrize("receive_buffer", [0, 8192], ids=["fast", "slow"])
@pytest.mark.parametrize("half_closes", [False, True])
def test_a_close_comes_after_the_last_piece_of_a_large_answer(
    module: str, half_closes: bool, receive_buffer: int
) -> None:
    with running(module, Parting()) as server:
        sock = server.connect(receive_buffer=receive_buffer)
        if half_closes:
            sock.shutdown(socket.SHUT_WR)
        else:
            sock.sendall(b"go")
        received = receive(sock, len(FAREWELL) // 4)
        time.sleep(0.02 if receive_buffer else 0)
        assert received + receive_rest(sock) == FAREWELL


@together
def test_who_is_reset_while_much_waits_for_it_is_so_at_once(module: str) -> None:
    with running(module, Commands(), send_buffer=32 * 1024) as server:
        sock = server.connect(receive_buffer=4096)
        sock.sendall(b"for ever")
        assert receive(sock, 10) == CHUNK[:10]
        server.server.drain()
        server.server.abort()
        server.thread.join(DEADLINE_S)
        with pytest.raises(ConnectionResetError):
            receive_rest(sock)


# Linger.


@all_models
def test_linger_counts_from_the_last_byte_that_was_acknowledged(module: str) -> None:
    with running(module, Commands(), timeouts=Timeouts(linger=LINGER_S)) as server:
        sock = server.connect(receive_buffer=64 * 1024)
        sock.sendall(b"quit")
        start, received = time.monotonic(), bytearray()
        while time.monotonic() - start < 4 * LINGER_S:
            received += sock.recv(16 * 1024)
            sock.send(b"I still talk")  # which closing too early would answer with a reset
            time.sleep(LINGER_S / 30)
        assert 0 < len(received) < len(LARGE)
        received += receive_rest(sock)
        assert received == LARGE


@all_models
def test_who_does_not_close_in_time_is_closed(module: str) -> None:
    service = Commands()
    with running(module, service, timeouts=Timeouts(linger=LINGER_S)) as server:
        sock = server.connect()
        sock.sendall(b"quit")
        receive_rest(sock)
        start = time.monotonic()

        def is_reset() -> bool:
            try:
                sock.send(b"I still talk")
            except ConnectionError:
                return True
            return False

        wait_until(is_reset, "nobody is there any more")
        assert time.monotonic() - start < DEADLINE_S / 2
        wait_until(lambda: service.ends == 1, "its end is told")


# A chat.


@together
def test_member_that_does_not_read_stops_nobody_and_is_dropped(module: str) -> None:
    limits = Limits(outbox=256 * 1024)
    with running(module, Room(), limits=limits, timeouts=Timeouts(write=None)) as server:

        def join(name: bytes, **options: Any) -> Any:
            sock = server.connect(**options)
            sock.sendall(name + b"\n")
            file = sock.makefile("rb")
            assert file.readline().startswith(b"* Welcome")
            assert file.readline().startswith(b"* The room")
            return sock, file

        talker, _ = join(b"talker")
        listener, heard = join(b"listener")
        stalled, _ = join(b"stalled", receive_buffer=4096)
        assert heard.readline() == b"* stalled has entered the room\n"
        said, line = 0, b"x" * 2000 + b"\n"
        is_dropped = False
        while not is_dropped:
            talker.sendall(line)
            said += 1
            answer = heard.readline()
            if answer == b"* stalled has left the room\n":
                is_dropped = True
                answer = heard.readline()
            assert answer == b"[talker] " + line
            assert said < 20_000
        with pytest.raises(ConnectionResetError):
            receive_rest(stalled)
        listener.sendall(b"bye\n")


@together
def test_members_who_read_hear_all_that_one_says_in_one_packet(module: str) -> None:
    with running(module, Room()) as server:
        assert heard_of_a_flood(server.address) == [HEARD] * MEMBERS


class Relay(Echo):
    """What the first says goes to the others; what they say, back to themselves. In bytes."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.told = 0
        self.echoed = 0

    def connect(self, peer: Any) -> Answer:
        self.peers.append(peer)
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        first, *others = self.peers
        if peer is first:
            self.told += len(data)
            return [(others, data)]
        self.echoed += len(data)
        return data


def _send_until_full(sock: socket.socket, most: int) -> None:
    sock.setblocking(False)
    sent, piece = 0, bytes(RECV_SIZE)
    while sent < most and select.select([], [sock], [], 0.2)[1]:
        sent += sock.send(piece)


@together
def test_who_does_not_read_is_not_listened_to_while_others_talk_to_it(module: str) -> None:
    """Its own answers count, too, where a line of somebody else is under way to it."""
    limits, service = Limits(write_buffer=MIB, outbox=4 * MIB), Relay()
    with running(module, service, limits=limits, send_buffer=32 * 1024) as server:
        talker = server.connect()
        wait_until(lambda: service.peers, "the first is there")
        stalled = server.served(receive_buffer=4096)
        talker.sendall(bytes(MIB // 2))
        wait_until(lambda: service.told == MIB // 2, "all of it is said")
        _send_until_full(stalled, 64 * MIB)
        assert service.echoed < 2 * MIB
