"""TCP echo with limits: what it does to clients that are too many, too silent or too slow."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import resource
import select
import statistics
import time

import pytest
from machine import most_descriptors, needs_ipv6

KIB, MIB = 1024, 1024 * 1024
RANDOM = random.Random(7).randbytes(MIB)
LOOPS = ["asyncio", "uvloop"]
TOGETHER = ["threaded", "epoll", *LOOPS]  # blocking never holds more than one

IDLE_S = 1.0
WRITE_S = 0.4
PATIENT_S = 1.5  # where the test itself must be in time, also on a busy machine
CROWD = 200
STUCK_S = 0.3  # nothing more is taken
READ = 256 * KIB  # at most, in one go
WRITE_BUFFER = 64 * KIB
PIECE = 64 * KIB
SLACK = 64 * KIB  # a connection's objects, and what the allocator does not give back


def newcomer(server, to=None, *, source=None):
    """A new client that is served, or None if it was reset instead."""
    try:
        client = server.connect(to, source=source)  # the reset may come before it returns
        assert client.exchange(b"hello") == b"hello"
    except ConnectionError:
        return None
    return client


def answered(clients, timeout: float = 0) -> list:
    """Those that have something to read, after at most `timeout` seconds if there are none."""
    poll = select.poll()
    for client in clients:
        poll.register(client.sock, select.POLLIN)
    readable = dict(poll.poll(timeout * 1000))
    return [client for client in clients if client.sock.fileno() in readable]


# tcp/5: silence.


@pytest.mark.fault("tcp/5", models=LOOPS)
def test_silent_clients_are_closed_at_the_idle_limit_and_those_who_talk_are_not(serve):
    echo = serve("echo", "--idle-timeout", str(IDLE_S))
    talker, finished = echo.connect(), echo.connect()
    start = time.monotonic()
    silent = [echo.connect() for _ in range(3)]
    finished.exchange(b"all I had to say")
    silent.append(finished)
    while silent:
        assert talker.exchange(b"hello") == b"hello"
        silent = [client for client in silent if not client.is_over()]
        assert time.monotonic() - start < 20
        talker.poll(0.02, write=False)
    assert time.monotonic() - start > IDLE_S * 0.9
    assert talker.exchange(b"hello") == b"hello"


# tcp/10: a closed window.


def has_forgotten(server, client) -> bool:
    return server.end_of(client) is None


@pytest.mark.fault("tcp/10")
def test_client_that_never_reads_is_reset_at_the_write_limit(serve, eventually):
    echo = serve("echo", "--write-timeout", str(WRITE_S))
    client = echo.connect(receive_buffer=4 * KIB)

    def stall_and_read_on() -> None:
        assert client.send_until_stuck(RANDOM * 48, patience=0.1) < 48 * MIB
        eventually(lambda: has_forgotten(echo, client), "no socket is left, in no state")
        client.receive_rest()

    with pytest.raises(ConnectionError):  # on a busy machine it may come while we send
        stall_and_read_on()
    assert has_forgotten(echo, client)
    echo.assert_serving()


@pytest.mark.fault("tcp/10")
def test_client_that_never_reads_is_reset_also_when_the_server_has_closed(serve, eventually):
    echo = serve("echo", "--write-timeout", str(WRITE_S))
    descriptors = echo.descriptors()
    client = echo.connect(receive_buffer=4 * KIB)
    with echo.paused():  # so it finds all there is, and then the end
        client.send(RANDOM[: 64 * KIB])
        client.half_close()
        client.wait_until_delivered()
    eventually(lambda: has_forgotten(echo, client), "no socket is left, in no state")
    eventually(lambda: echo.descriptors() <= descriptors, "the server has closed")
    with pytest.raises(ConnectionResetError):
        client.receive_rest()


@pytest.mark.fault("tcp/10")
def test_client_that_reads_a_little_now_and_then_is_kept_beyond_the_write_limit(serve):
    echo = serve("echo", "--write-timeout", str(WRITE_S))
    client = echo.connect(receive_buffer=4 * KIB)
    sent, received, pauses = 0, bytearray(), [0.0]
    start = last = time.monotonic()
    try:
        while time.monotonic() - start < 3 * WRITE_S:
            sent += client.send_some(memoryview(RANDOM * 2)[sent % MIB :][:PIECE])
            received += client.receive(4 * KIB)
            pauses.append(time.monotonic() - last)
            last += pauses[-1]
            client.poll(WRITE_S / 16, read=False, write=False)
        client.half_close()
        received += client.receive_rest()
    except ConnectionResetError:
        if max(*pauses, time.monotonic() - last) < WRITE_S / 2:
            raise
        pytest.skip("the machine stood still: the client has not read for that long")
    assert received == (RANDOM * (sent // MIB + 1))[:sent]


@pytest.mark.fault("tcp/10", models=LOOPS)
def test_unix_client_that_never_reads_is_closed_at_the_write_limit(serve, tmp_path, eventually):
    echo = serve("echo", "--listen", f"unix://{tmp_path}/echo", "--write-timeout", str(WRITE_S))
    echo.assert_serving()
    descriptors = echo.descriptors()
    client = echo.connect()
    client.send_until_stuck(RANDOM * 8, patience=0.1)
    eventually(lambda: echo.descriptors() <= descriptors, "the server has closed")
    with contextlib.suppress(ConnectionResetError):
        assert len(client.receive_rest()) < 8 * MIB
    echo.assert_serving()


# tcp/11: memory.


def stall(clients) -> None:
    """Send 1 MiB on each without reading, or less if no more is taken."""
    by_fd = {client.sock.fileno(): (client, memoryview(RANDOM)) for client in clients}
    with select.epoll() as epoll:
        for fd in by_fd:
            epoll.register(fd, select.EPOLLOUT)
        while by_fd and (events := epoll.poll(STUCK_S)):
            for fd, _ in events:
                client, unsent = by_fd[fd]
                by_fd[fd] = (client, unsent := unsent[client.send_some(unsent) :])
                if not unsent:
                    epoll.unregister(fd)
                    del by_fd[fd]


def connect_a_crowd(echo) -> list:
    # With small segments and windows the kernel keeps little of what the server sends.
    return [echo.connect(receive_buffer=4 * KIB, max_segment=1000) for _ in range(CROWD)]


@pytest.mark.fault("tcp/11", models=TOGETHER)
def test_only_so_many_stalled_readers_are_taken(serve, eventually):
    places = 20
    echo = serve("echo", "--max-connections", str(places))
    echo.assert_serving()
    baseline = echo.resident_bytes()
    clients = connect_a_crowd(echo)
    for client in clients:
        client.send(b"hello")
    eventually(lambda: len(answered(clients)) == places, "all places are taken")
    stall(clients)
    assert len(answered(clients)) == places
    bound = places * (WRITE_BUFFER + READ + SLACK) + CROWD * SLACK / 8
    assert echo.resident_bytes() - baseline < bound


# tcp/14: the cap.


@pytest.mark.fault("tcp/14", models=TOGETHER)
def test_client_past_the_cap_is_served_when_one_leaves(serve):
    echo = serve("echo", "--max-connections", "3", "--on-full", "queue")
    served = [newcomer(echo) for _ in range(3)]
    waiting = [echo.connect() for _ in range(6)]
    for client in waiting:
        client.send(b"here I am")
    assert not answered(waiting, 0.1)
    while waiting:
        served.pop(0).close()
        (first,) = answered(waiting, 20)
        assert first.receive(9) == b"here I am"
        waiting.remove(first)
        served.append(first)
        for client in served:
            assert client.exchange(b"hello") == b"hello"
        assert not answered(waiting, 0.02)


@pytest.mark.fault("tcp/14", models=LOOPS)
def test_unix_server_that_was_full_is_still_found(serve, tmp_path):
    path = ("--listen", f"unix://{tmp_path}/echo")
    echo = serve("echo", "--max-connections", "1", "--on-full", "queue", *path)
    for _ in range(3):
        served = newcomer(echo)
        waiting = echo.connect()
        waiting.send(b"here I am")
        assert not answered([waiting], 0.02)
        served.close()
        assert waiting.receive(9) == b"here I am"
        waiting.close()


@pytest.mark.fault("tcp/14", models=TOGETHER)
def test_client_past_the_cap_is_reset_at_once(serve, eventually):
    echo = serve("echo", "--max-connections", "3", "--on-full", "reject")
    control = serve("echo")

    def visit_s() -> float:
        start = time.perf_counter()
        control.assert_serving()
        return time.perf_counter() - start

    def refusal_s() -> float:
        start = time.perf_counter()
        assert newcomer(echo) is None
        return time.perf_counter() - start

    served: list = []

    def is_full() -> bool:
        served.extend(filter(None, [newcomer(echo)]))  # a place may not be free yet
        return len(served) == 3

    eventually(is_full, "all places are taken")
    # On a machine that is busy with other things, no longer than being served takes.
    took, normal = (statistics.median(each() for _ in range(11)) for each in (refusal_s, visit_s))
    assert took < max(0.100, 3 * normal)
    for client in served:
        assert client.exchange(b"hello") == b"hello"
    served.pop().close()
    eventually(is_full, "the place of the one that left is taken")
    assert newcomer(echo) is None


# tcp/15: the cap of one address.


@pytest.mark.fault("tcp/15", models=LOOPS)
def test_client_past_the_cap_of_its_address_is_reset_and_others_are_served(serve, eventually):
    echo = serve("echo", "--max-per-peer", "2")
    first, second = newcomer(echo), newcomer(echo)
    assert newcomer(echo) is None
    echo.assert_serving(source="127.0.0.2")
    first.close()
    eventually(lambda: newcomer(echo), "the place of the one that left is free")
    assert newcomer(echo) is None
    assert second.exchange(b"hello") == b"hello"


@needs_ipv6
@pytest.mark.fault("tcp/15", models=LOOPS)
def test_address_has_one_cap_over_ipv4_and_ipv6(serve, eventually):
    cap = ("--max-per-peer", "2")
    echo = serve("echo", *cap, "--listen", "tcp://127.0.0.1:0", "--listen", "tcp://[::]:0")
    single, (_, dual) = echo.addresses
    places = [single, ("127.0.0.1", dual), ("::ffff:127.0.0.1", dual)]
    for first, second in itertools.combinations(places, 2):
        clients = [newcomer(echo, first), newcomer(echo, second)]
        assert all(clients)
        assert not any(newcomer(echo, place) for place in places)
        echo.assert_serving(single, source="127.0.0.2")
        echo.assert_serving(("127.0.0.1", dual), source="127.0.0.2")
        echo.assert_serving(("::1", dual))
        for client in clients:
            client.close()
        while not all(clients := [newcomer(echo, single), newcomer(echo, single)]):
            for client in filter(None, clients):
                client.close()
        for client in clients:
            client.half_close()
            assert client.receive_rest() == b""
            client.close()


# tcp/16: out of descriptors.

# Fewer than when the server began, which takes no more connections than it saw room for then.
NOFILE = min(400, most_descriptors() * 3 // 4)  # of which the server keeps a quarter
OUT = "cannot accept: {} descriptors are nearly used up (ulimit -n); newcomers wait\n"


def use_up_descriptors(echo) -> list:
    """Lower the limit, and connect until nobody is served any more; those who are."""
    _, hard = resource.prlimit(echo.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(echo.pid, resource.RLIMIT_NOFILE, (NOFILE, hard))
    served = []
    while True:
        client = echo.connect()
        client.send(b"hello")
        while not (is_served := client.poll(0.2, write=False)[0]) and not echo.stderr:
            assert len(served) < NOFILE
        if not is_served:
            client.close()
            return served
        assert client.receive(5) == b"hello"
        served.append(client)


@pytest.mark.fault("tcp/16", models=LOOPS)
def test_server_nearly_out_of_descriptors_rests_and_recovers(serve):
    echo = serve("echo")
    echo.expected_stderr = f"({re.escape(OUT.format(NOFILE))})+"
    established = newcomer(echo)
    served = use_up_descriptors(echo)
    assert NOFILE / 2 < len(served) < NOFILE
    waiting = [echo.connect() for _ in range(20)]
    for client in waiting:
        client.send(b"at last")
    lines = echo.stderr.count("\n")
    spent, start = echo.cpu_seconds(), time.monotonic()
    assert not answered(waiting, 1)
    took = time.monotonic() - start
    assert echo.cpu_seconds() - spent < 0.05 * took + 0.01  # and what the clock cannot tell
    assert echo.stderr.count("\n") - lines <= took
    assert established.exchange(RANDOM) == RANDOM
    for client in served[: len(waiting) + 5]:
        client.close()
    deadline = time.monotonic() + 2
    for client in waiting:
        client.sock.settimeout(max(0.001, deadline - time.monotonic()))
        assert client.receive(7) == b"at last"


@pytest.mark.fault("tcp/16", models=LOOPS)
def test_server_at_the_edge_of_its_descriptors_logs_one_line_a_second(serve):
    echo = serve("echo", "--linger-timeout", "0.04")  # so it looks a hundred times a second
    line = re.escape(OUT.format(NOFILE))
    echo.expected_stderr = f"({line})+"
    served = use_up_descriptors(echo)
    lines = echo.stderr.count("\n")
    start = time.monotonic()
    for _ in range(20):  # each time it accepts, descriptors are short again
        client = echo.connect()
        client.send(b"hello")
        while not client.poll(0.02, write=False)[0]:
            served.pop().close()
        assert client.receive(5) == b"hello"
        served.insert(0, client)
    assert echo.stderr.count("\n") - lines <= 1 + time.monotonic() - start
