"""A server's life: told to stop, told to stop twice, and started on a port that is taken."""

from __future__ import annotations

import contextlib
import random
import signal
import time

import pytest

RANDOM = random.Random(7).randbytes(1024 * 1024)
PENDING = RANDOM[: 128 * 1024]
DRAIN_S = 0.5


def terminate_and_time(server) -> float:
    start = time.monotonic()
    server.terminate()
    assert server.wait() == server.expected_status
    return time.monotonic() - start


@pytest.mark.fault("life/1")
@pytest.mark.parametrize("service", ["echo", "chat", "udp-echo"])
def test_idle_server_ends_within_a_second_of_sigterm(serve, service):
    server = serve(service)
    assert terminate_and_time(server) < 1
    assert service == "udp-echo" or server.refuses_connections()


@pytest.mark.fault("life/1")
def test_idle_client_gets_the_end_at_sigterm(echo):
    client = echo.connect()
    client.exchange(b"hello")
    assert terminate_and_time(echo) < 1
    assert client.receive_rest() == b""
    assert echo.refuses_connections()


@pytest.mark.fault("life/1", together=True)
def test_idle_members_get_the_end_at_sigterm(chat):
    members = [chat.join(f"member{number}") for number in range(10)]
    visitor = chat.visit()
    assert terminate_and_time(chat) < 1
    for member in members:
        assert all(line.startswith("* ") for line in member.receive_rest().decode().splitlines())
    assert visitor.receive_rest() == b""


@pytest.mark.fault("life/1")
def test_clients_that_arrive_with_sigterm_do_not_hold_it_up(echo):
    with echo.paused():  # so it finds both at once
        clients = [echo.connect() for _ in range(100)]
        for client in clients:
            client.send(b"hello")
        echo.terminate()
    assert echo.wait(1) == 0
    for client in clients:  # in the accept queue a reset is all that can be had
        with contextlib.suppress(ConnectionResetError):
            assert client.receive_rest() in (b"hello", b"")


def send_and_terminate(server) -> bytes:
    """What a client got that had sent, and read nothing, when the server was told to stop."""
    client = server.connect()
    client.send(PENDING[: 96 * 1024])  # more than one read
    client.wait_until_delivered()
    with server.paused():
        client.send(PENDING[96 * 1024 :])  # not even read by the server
        client.wait_until_delivered()
        server.terminate()
    return client.receive_rest()


@pytest.mark.fault("life/2")
def test_pending_bytes_are_delivered_after_sigterm(echo):
    assert send_and_terminate(echo) == PENDING


@pytest.mark.fault("life/2", together=True)
def test_stalled_client_holds_up_only_the_exit_and_only_to_the_drain_limit(serve, eventually):
    echo = serve("echo", "--drain-timeout", str(DRAIN_S))
    stalled = echo.connect()
    stalled.send_until_stuck(RANDOM * 48, patience=0.2)
    start = time.monotonic()
    assert send_and_terminate(echo) == PENDING
    eventually(echo.refuses_connections, "connects are refused")
    assert echo.wait() == 0
    assert time.monotonic() - start < DRAIN_S + 1
    with pytest.raises(ConnectionResetError):
        stalled.receive_rest()


@pytest.mark.fault("life/2", models=["blocking"])
def test_stalled_client_is_reset_at_the_drain_limit(serve):
    echo = serve("echo", "--drain-timeout", str(DRAIN_S))
    stalled = echo.connect()
    stalled.send_until_stuck(RANDOM * 48, patience=0.2)
    assert terminate_and_time(echo) < DRAIN_S + 1
    with pytest.raises(ConnectionResetError):
        stalled.receive_rest()


@pytest.mark.fault("life/2")
def test_second_sigterm_ends_at_once(serve, eventually):
    echo = serve("echo", "--drain-timeout", "600")
    stalled = echo.connect()
    stalled.send_until_stuck(RANDOM * 48, patience=0.2)
    echo.terminate()
    eventually(echo.refuses_connections, "connects are refused")
    echo.expected_status = -signal.SIGTERM  # left to the kernel
    assert terminate_and_time(echo) < 1


@pytest.mark.fault("life/6")
@pytest.mark.parametrize("service", ["echo", "udp-echo"])
def test_taken_port_is_said_in_one_line(serve, service):
    owner = serve(service)
    second = serve.run(service, "--listen", owner.url)
    assert (second.returncode, second.stdout) == (1, "")
    (line,) = second.stderr.splitlines()
    assert owner.url in line
    assert f"process {owner.pid}" in line
    assert "choose another port" in line
