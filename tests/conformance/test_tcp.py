"""TCP echo: what one client at a time means, and how the plain-socket servers run short."""

from __future__ import annotations

import random
import resource

import pytest

RANDOM = random.Random(7).randbytes(1024 * 1024)


@pytest.mark.fault("tcp/5", models=["blocking"])
def test_second_client_waits_until_a_silent_one_has_left(echo):
    silent, waiting = echo.connect(), echo.connect()
    waiting.send(b"hello")
    assert waiting.poll(0.2, write=False) == (False, False)
    silent.close()
    assert waiting.receive(5) == b"hello"


@pytest.mark.fault("tcp/16", together=True, models=["blocking", "threaded", "epoll"])
def test_server_out_of_descriptors_keeps_who_it_has_and_recovers(echo):
    echo.expected_stderr = r"(cannot accept: Too many open files; trying again in \S+ s\n)+"
    established = echo.connect()
    established.exchange(b"hello")
    _, hard = resource.prlimit(echo.pid, resource.RLIMIT_NOFILE)
    limit = echo.descriptors() + 8
    resource.prlimit(echo.pid, resource.RLIMIT_NOFILE, (limit, hard))
    served = [echo.connect() for _ in range(8)]
    for client in served:
        client.exchange(b"hello")
    waiting = [echo.connect() for _ in range(20)]
    spent = echo.cpu_seconds()
    assert not waiting[0].poll(1, write=False)[0]
    assert echo.cpu_seconds() - spent < 0.05
    assert established.exchange(RANDOM) == RANDOM
    for client in served:
        client.close()
    waiting[0].sock.settimeout(2)
    for client in waiting:
        client.send(b"at last")
        assert client.receive(7) == b"at last"
        client.close()
