"""Timeouts and Limits.per_peer, which every model has from the hub, if it asks that in time."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import Any

import pytest
from blocking_servers import MODULES, TOGETHER, exchange, receive_rest, running
from deadline import DEADLINE_S

from aionet.limits import Limits, Timeouts
from aionet.protocol import Answer, Echo, Room

LIMIT_S = 0.4
EARLY_S = LIMIT_S * 0.9
all_models = pytest.mark.parametrize("module", MODULES)


class Noting(Echo):
    """An echo that notes when somebody is lost. On b"much" it answers more than fits anywhere."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return bytes(64 * 1024 * 1024) if data == b"much" else data

    def receive_eof(self, peer: Any) -> Answer:
        self.ended.set()
        return super().receive_eof(peer)


class Mute(Echo):
    """It does not close who has finished."""

    def receive_eof(self, peer: Any) -> Answer:
        return None


@all_models
def test_who_is_silent_is_closed_at_the_idle_limit_and_who_talks_is_not(module: str) -> None:
    with running(module, Echo(), timeouts=Timeouts(idle=LIMIT_S)) as server:
        talker = server.connect()
        start = time.monotonic()
        while time.monotonic() - start < 2 * LIMIT_S:
            assert exchange(talker, b"hello") == b"hello"
            time.sleep(LIMIT_S / 20)
        talker.close()
        start = time.monotonic()
        assert server.connect().recv(1) == b""
        assert EARLY_S < time.monotonic() - start < DEADLINE_S / 2


@all_models
def test_message_that_trickles_in_is_given_up_at_its_limit(module: str) -> None:
    with running(module, Room(), timeouts=Timeouts(message=LIMIT_S)) as server:
        sock = server.connect()
        assert sock.recv(100).startswith(b"* ")
        start = time.monotonic()
        while not select.select([sock], [], [], LIMIT_S / 20)[0]:
            sock.send(b"a")
            assert time.monotonic() - start < DEADLINE_S / 2
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        assert time.monotonic() - start > EARLY_S


@all_models
def test_who_has_finished_is_waited_for_no_longer_than_its_limit(module: str) -> None:
    with running(module, Mute(), timeouts=Timeouts(half_closed=LIMIT_S)) as server:
        sock = server.served()
        start = time.monotonic()
        sock.shutdown(1)
        assert sock.recv(1) == b""
        assert EARLY_S < time.monotonic() - start < DEADLINE_S / 2


@all_models
def test_who_takes_nothing_is_reset_at_the_write_limit(module: str) -> None:
    service = Noting()
    with running(module, service, timeouts=Timeouts(write=LIMIT_S)) as server:
        sock = server.connect(receive_buffer=4096)
        start = time.monotonic()
        sock.sendall(b"much")
        assert service.ended.wait(DEADLINE_S)
        assert time.monotonic() - start > EARLY_S
        with pytest.raises(ConnectionResetError):
            receive_rest(sock)
        assert exchange(server.connect(), b"still there?") == b"still there?"


@all_models
def test_who_takes_nothing_is_idle_where_there_is_no_write_limit(module: str) -> None:
    service = Noting()
    with running(module, service, timeouts=Timeouts(write=None, idle=LIMIT_S)) as server:
        sock = server.connect(receive_buffer=4096)
        sock.sendall(b"much")
        assert service.ended.wait(DEADLINE_S)
        with pytest.raises(ConnectionResetError):
            receive_rest(sock)


@all_models
def test_who_reads_steadily_is_neither_idle_nor_slow(module: str) -> None:
    timeouts = Timeouts(idle=LIMIT_S, write=LIMIT_S)
    with running(module, Noting(), timeouts=timeouts) as server:
        sock = server.connect(receive_buffer=64 * 1024)
        sock.sendall(b"much")
        start, received = time.monotonic(), 0
        while time.monotonic() - start < 4 * LIMIT_S:
            received += len(sock.recv(64 * 1024))
            time.sleep(LIMIT_S / 40)
        while received < 64 * 1024 * 1024:
            received += len(sock.recv(1024 * 1024)) or pytest.fail(f"ended at {received}")


@pytest.mark.parametrize("module", TOGETHER)
def test_one_address_has_no_more_than_its_share(module: str) -> None:
    with running(module, Echo(), limits=Limits(per_peer=2)) as server:
        first, second = server.served(), server.served()
        with pytest.raises(ConnectionResetError):
            server.connect().recv(1)
        server.served(source="127.0.0.2")
        first.shutdown(1)
        assert first.recv(1) == b""  # by then the place may be free, or soon
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                server.served()
                break
            except ConnectionError:
                continue
        else:
            pytest.fail("the place of who has left is not given to others")
        assert exchange(second, b"hello") == b"hello"
