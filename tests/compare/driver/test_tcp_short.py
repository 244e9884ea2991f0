"""tcp-short: who closes, and servers that do one thing wrong, as it is started and from inside."""

from __future__ import annotations

import socket

import msgspec
import pytest
from planted_servers import LONG_ENOUGH_S, Drive, Plant

from compare.driver import tcp_short
from compare.driver.load import Load

# Of another port's sockets, which are told by the number alone, and of those not closed yet.
A_FEW = 10


# Who closes


@pytest.mark.parametrize(
    "argv",
    [
        ("blocking", "serve", "echo", "--model", "epoll", "--close-after", "100"),
        ("aionet", "serve", "echo", "--loop", "asyncio", "--close-after", "100"),
    ],
    ids=["epoll", "asyncio"],
)
def test_server_that_closes_first_keeps_time_wait(
    serve: Plant, drive: Drive, argv: tuple[str, ...]
) -> None:
    outcome = drive(serve(*argv), "tcp-short", close="server")
    served, sizes = outcome.counts.served, outcome.sizes
    assert served == outcome.counts.attempted > 0
    assert sizes is not None
    assert sizes.time_wait is not None
    assert sizes.client_time_wait is not None
    assert sizes.time_wait == pytest.approx(served, abs=A_FEW)
    assert sizes.client_time_wait <= A_FEW
    assert outcome.errors == {}


@pytest.mark.parametrize("close", ["client", "reset"])
def test_client_that_closes_first_keeps_time_wait_unless_it_resets(
    plant: Plant, drive: Drive, close: str
) -> None:
    outcome = drive(plant("echo.py", "correct"), "tcp-short", close=close)
    served, sizes = outcome.counts.served, outcome.sizes
    assert served == outcome.counts.attempted > 0
    assert sizes is not None
    assert sizes.time_wait is not None
    assert sizes.client_time_wait is not None
    assert sizes.time_wait <= A_FEW
    assert sizes.client_time_wait == pytest.approx(served if close == "client" else 0, abs=A_FEW)
    assert outcome.errors == {}
    assert outcome.counts.reset == 0


# What comes back is not what was sent


@pytest.mark.parametrize("fault", ["flipped", "extra", "doubled"])
def test_wrong_reply_on_a_short_connection_is_counted(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-short", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors == {"wrong_bytes": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0
    assert outcome.counts.attempted == report["received"]


# The connection ends


@pytest.mark.parametrize("fault", ["cut", "eof"])
def test_short_connections_that_the_server_ends_are_counted(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-short", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors == {"eof": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0


def test_reset_of_a_large_message_under_way_is_counted(plant: Plant, drive: Drive) -> None:
    """The rest of a message that was cut off must not turn up on the next connection."""
    outcome = drive(
        plant("echo.py", "slams"), "tcp-short", size=8 * 2**20, connections=2, window=0.1
    )
    assert set(outcome.errors) <= {"eof"}
    assert outcome.counts.reset + outcome.errors.get("eof", 0) == outcome.counts.attempted


# No answer


def test_one_at_a_time_serves_short_connections_one_after_the_other(
    plant: Plant, drive: Drive
) -> None:
    outcome = drive(plant("echo.py", "one-at-a-time"), "tcp-short")
    assert outcome.counts.served == outcome.counts.attempted > 4
    assert outcome.errors == {}


# Inside


def test_rest_of_a_message_is_forgotten_with_its_connection(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        message = b"0123456789"
        place = tcp_short.ShortConversation(load, (message, message), iter([None] * 2))
        place.open()
        place.unsent = memoryview(message)[5:]  # as if the kernel had been full
        place.fail(ConnectionResetError())
        place.open()
        first, _ = listener.accept()
        first.close()
        second, _ = listener.accept()
        with second:
            place.on_ready()  # nothing has come yet
            place.sock.shutdown(socket.SHUT_WR)
            second.settimeout(10)
            assert second.recv(100) == message
            assert second.recv(100) == b""
        place.close()


@pytest.mark.parametrize(("last", "wrong"), [(b"", 0), (b"more", 1)])
def test_server_that_is_to_close_may_say_nothing_more(load: Load, last: bytes, wrong: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        load.spec = msgspec.structs.replace(load.spec, close="server")
        message = b"0123456789"
        place = tcp_short.ShortConversation(load, (message, message), iter([None]))
        place.open()
        load.sending = False
        conn, _ = listener.accept()
        with conn:
            conn.send(conn.recv(10))
            load.run(10.0, lambda now: None, done=lambda: bool(load.samples))
            assert place.waiting
            conn.send(last)
        load.run(10.0, lambda now: None, done=lambda: not place.waiting)
        assert load.errors["wrong_bytes"] == wrong
        assert load.counts.served == 1
        assert load.handlers == {}
