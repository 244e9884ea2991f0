"""A server's life: told to stop, given its sockets, and started on a port that is taken."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time

import pytest
from deadline import wait_until

RANDOM = random.Random(7).randbytes(1024 * 1024)
PENDING = RANDOM[: 128 * 1024]
DRAIN_S = 0.5
LOOPS = ["asyncio", "uvloop"]


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
    # All of them are read, or its kernel might have no room for what follows.
    wait_until(lambda: server.has_echoed(client, 96 * 1024), "all is on its way back")
    with server.paused():
        client.send(PENDING[96 * 1024 :])  # not even read by the server
        client.wait_until_delivered()
        server.terminate()
    return client.receive_rest()


@pytest.mark.fault("life/2")
def test_pending_bytes_are_delivered_after_sigterm(echo):
    assert send_and_terminate(echo) == PENDING


@pytest.mark.fault("life/2", models=["blocking"])
def test_stalled_client_is_reset_at_the_drain_limit(serve):
    echo = serve("echo", "--drain-timeout", str(DRAIN_S))
    stalled = echo.connect()
    stalled.send_until_stuck(RANDOM * 48, patience=0.2)
    assert terminate_and_time(echo) < DRAIN_S + 1
    with pytest.raises(ConnectionResetError):
        stalled.receive_rest()


@pytest.mark.fault("life/2", together=True)
def test_slow_client_gets_every_byte_after_sigterm_beside_a_stalled_one(serve, eventually):
    echo = serve("echo", "--drain-timeout", "20")
    idle, slow, stalled = echo.connect(), echo.connect(receive_buffer=4096), echo.connect()
    stalled.send_until_stuck(RANDOM * 48, patience=0.1)
    slow.send(RANDOM[: 512 * 1024])
    slow.wait_until_delivered()
    assert idle.exchange(b"hello") == b"hello"
    echo.terminate()
    assert idle.receive_rest() == b""
    eventually(echo.refuses_connections, "connects are refused")
    assert slow.receive_rest() == RANDOM[: 512 * 1024]
    for client in (slow, stalled):
        client.close()
    assert echo.wait() == 0


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


def listening(family: int, directory) -> socket.socket:
    sock = socket.socket(family)
    if family == socket.AF_UNIX:
        sock.bind(str(directory / "passed"))
    else:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    sock.listen()
    return sock


def url_of(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix://{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"tcp://{host}:{name[1]}"


@pytest.fixture
def passed(tmp_path):
    """Listening sockets as somebody else opens them: of each family that this machine has."""
    with contextlib.ExitStack() as stack:
        families = [socket.AF_INET, socket.AF_UNIX]
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            families.insert(1, socket.AF_INET6)
        yield [stack.enter_context(listening(family, tmp_path)) for family in families]


@pytest.mark.fault("life/4", models=LOOPS)
def test_sockets_that_were_passed_are_served(serve, passed):
    echo = serve.activate("echo", "--listen", "systemd:", sockets=passed, addresses=len(passed))
    assert echo.urls == [url_of(sock) for sock in passed]
    for address in echo.addresses:
        echo.assert_serving(address)
    path = passed[-1].getsockname()
    assert terminate_and_time(echo) < 1
    assert os.path.exists(path)  # it belongs to who made it


@pytest.mark.fault("life/4", models=LOOPS)
def test_socket_is_chosen_by_its_name(serve, passed):
    names = [f"name{number}" for number, _ in enumerate(passed)]
    chosen = list(zip(names, passed, strict=True))[::-1][:2]
    options = [word for name, _ in chosen for word in ("--listen", f"systemd:{name}")]
    echo = serve.activate(
        "echo", *options, sockets=passed, addresses=2, LISTEN_FDNAMES=":".join(names)
    )
    assert echo.urls == [url_of(sock) for _, sock in chosen]
    for address in echo.addresses:
        echo.assert_serving(address)


@pytest.mark.fault("life/4", models=LOOPS)
@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("", {"LISTEN_PID": "1"}, "LISTEN_PID names process 1"),
        ("mine", {"LISTEN_FDNAMES": "web"}, "no socket named 'mine' was passed; there are: web"),
    ],
    ids=["pid", "name"],
)
def test_sockets_passed_to_somebody_else_are_an_error_of_one_line(serve, passed, name, env, said):
    attempt = serve.run("echo", "--listen", f"systemd:{name}", sockets=passed[:1], **env)
    assert (attempt.returncode, attempt.stdout) == (1, "")
    (line,) = attempt.stderr.splitlines()
    assert said in line


@pytest.mark.fault("life/4", models=LOOPS)
def test_descriptor_that_was_passed_is_served(serve, passed):
    echo = serve.activate("echo", "--listen", "fd://3", sockets=passed[:1], addresses=1)
    assert echo.urls == [url_of(passed[0])]
    echo.assert_serving()


@pytest.mark.fault("life/6", models=LOOPS)
def test_unix_path_of_a_live_server_is_refused_and_that_of_a_dead_one_replaced(serve, tmp_path):
    path = tmp_path / "echo"
    place = ("--listen", f"unix://{path}")
    owner = serve("echo", *place)
    owner.assert_serving()
    second = serve.run("echo", *place)
    assert (second.returncode, second.stdout) == (1, "")
    (line,) = second.stderr.splitlines()
    assert str(path) in line
    assert "choose another path" in line
    owner.assert_serving()
    owner.kill()
    owner.wait()
    assert path.is_socket()
    successor = serve("echo", *place)
    successor.assert_serving()
    assert terminate_and_time(successor) < 1
    assert not path.exists()
