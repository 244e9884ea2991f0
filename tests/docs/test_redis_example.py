"""docs/examples/redis_subset.py among those who mean it no good."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aionet import CloseReason

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def redis_subset(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    import redis_subset

    return redis_subset


@pytest.fixture
def server(redis_subset: Any, memory_server: Callable[..., Any]) -> Any:
    return memory_server(redis_subset.Database())


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def ask(peer: Any, *words: bytes) -> bytes:
    peer.send(request(*words))
    said: bytes = peer.take()
    return said


def test_redis_answers_are_made_as_they_are_taken(server: Any) -> None:
    ann, greedy = server.connect(), server.connect(reads=False)
    value = bytes(100_000)
    assert ask(ann, b"SET", b"k", value) == b"+OK\r\n"
    tracemalloc.start()
    try:
        greedy.send(b"GET k\r\n" * 100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert ask(ann, b"PING") == b"+PONG\r\n"
    greedy.start_reading()
    assert len(greedy.take()) == 100 * len(b"$100000\r\n%b\r\n" % value)


@pytest.mark.parametrize("size", [1000, 60_000, 250_000])
def test_redis_answers_that_wait_are_kept_once(server: Any, size: int) -> None:
    ann, greedy = server.connect(), server.connect(reads=False)
    assert ask(ann, b"SET", b"k", bytes(size)) == b"+OK\r\n"
    tracemalloc.start()
    try:
        greedy.send(b"GET k\r\n" * 100)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    waits = server.peers[1].pending
    assert waits >= min(size, 64 * 1024)
    assert kept < waits + 32 * 1024
    greedy.start_reading()
    assert len(greedy.take()) == 100 * len(b"$%d\r\n%b\r\n" % (size, bytes(size)))


def test_redis_keys_and_values_have_one_bound(
    redis_subset: Any, monkeypatch: pytest.MonkeyPatch, memory_server: Callable[..., Any]
) -> None:
    monkeypatch.setattr(redis_subset, "ROOM", 2000)
    peer = memory_server(redis_subset.Database()).connect()
    assert ask(peer, b"SET", b"a", bytes(1000)) == b"+OK\r\n"
    assert ask(peer, b"SET", b"b", bytes(1000)).startswith(b"-OOM")
    assert ask(peer, b"SET", b"a", bytes(1700)) == b"+OK\r\n"
    assert ask(peer, b"SET", b"a", bytes(1900)).startswith(b"-OOM")
    assert ask(peer, b"INCR", b"n").startswith(b"-OOM")
    assert ask(peer, b"GET", b"n") == b"$-1\r\n"
    assert ask(peer, b"DEL", b"a", b"a", b"b") == b":1\r\n"
    assert ask(peer, b"SET", b"b", bytes(1799)) == b"+OK\r\n"


def test_redis_request_that_trickles_is_parsed_once(server: Any) -> None:
    peer = server.connect()
    peer.send(b"*101000\r\n" + b"$0\r\n\r\n" * 100_000)
    start = time.process_time()
    for _ in range(1000):
        for byte in b"$0\r\n\r\n":
            peer.send(bytes([byte]))
    assert time.process_time() - start < 10  # from its beginning it would be minutes
    assert peer.take().startswith(b"-ERR no such command")


def test_redis_request_is_found_however_its_bytes_arrive(server: Any) -> None:
    whole = b"*0\r\n" + request(b"SET", b"k", b"\r\n$1") + b"PING\r\nGET k\r\n" + request(b"ping")
    for size in range(1, len(whole) + 1):
        peer = server.connect()
        for at in range(0, len(whole), size):
            peer.send(whole[at : at + size])
        assert peer.take() == b"+OK\r\n+PONG\r\n$4\r\n\r\n$1\r\n+PONG\r\n"


def test_redis_empty_array_is_no_request_and_is_over(server: Any) -> None:
    peer = server.connect()
    for _ in range(60):
        peer.send(b"*0\r\n")
        server.advance(1)
    assert ask(peer, b"PING") == b"+PONG\r\n"


def test_redis_request_is_to_be_whole_in_time_and_each_has_its_own(server: Any) -> None:
    busy, slow = server.connect(), server.connect()
    for _ in range(60):
        busy.send(b"NG\r\nPI")
        slow.send(b"P")
        server.advance(1)
    assert (busy.closed, slow.closed) == (None, CloseReason.SLOW_MESSAGE)


@pytest.mark.parametrize("size", [1 << 16, 1 << 20], ids=["line", "request"])
def test_redis_request_that_is_too_big_ends_the_connection(server: Any, size: int) -> None:
    peer = server.connect()
    peer.send(b"x" * size if size == 1 << 16 else b"*2\r\n$%d\r\n" % size)
    assert peer.take() == b"-ERR Protocol error\r\n"
    peer.finish()
    assert peer.closed is CloseReason.DONE


def test_redis_number_that_is_none_or_too_long_is_not_counted_up(server: Any) -> None:
    peer = server.connect()
    for text in (b"--1", b"", b"1.5", b"9" * 5000):
        assert ask(peer, b"SET", b"n", text) == b"+OK\r\n"
        assert ask(peer, b"INCR", b"n").startswith(b"-ERR")
    assert ask(peer, b"INCRBY", b"m", b"9" * 5000).startswith(b"-ERR")
    assert ask(peer, b"INCRBY", b"m", b"-5") == b":-5\r\n"
