"""udp-echo against servers that do one thing wrong, as the driver is started and from inside."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from time import perf_counter_ns as clock

import msgspec
import pytest
from planted_servers import LONG_ENOUGH_S, Drive, Plant

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.driver import udp_echo
from compare.driver.load import Load


def accounted_for(outcome: Outcome, report: dict[str, int]) -> bool:
    """Every datagram was answered in time, or lost, or late; the first of each warmed it up."""
    errors = outcome.errors
    (turn,) = outcome.slices
    settled = 4 + turn.turn_operations + errors.get("lost", 0) + errors.get("late", 0)
    return report["received"] == settled


def test_lost_datagrams_are_counted_and_stop_nobody(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "lost", 20)
    outcome = drive(server, "udp-echo", window=0.5)
    report = server.report()
    assert outcome.errors["lost"] == report["faults"]
    # Its turn comes again after every loss: more than the first one for each client.
    assert report["faults"] > 4
    assert accounted_for(outcome, report)
    assert outcome.counts.served == 4
    assert "wrong_bytes" not in outcome.errors
    assert "duplicate" not in outcome.errors


def test_duplicate_datagrams_are_counted(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "duplicate", 7)
    outcome = drive(server, "udp-echo")
    report = server.report()
    # The second copy of the last reply may come when nobody is there any more.
    assert report["faults"] - 4 <= outcome.errors["duplicate"] <= report["faults"]
    assert outcome.errors["duplicate"] > 4
    assert accounted_for(outcome, report)
    assert "wrong_bytes" not in outcome.errors


@pytest.mark.parametrize("fault", ["late", "overtaken"])
def test_late_datagrams_are_counted_as_late_and_not_as_lost(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("datagrams.py", fault, 20)
    outcome = drive(server, "udp-echo", window=0.5)
    report = server.report()
    assert outcome.errors["late"] >= report["released"] > 0
    assert outcome.errors.get("lost", 0) == report["faults"] - report["released"]
    assert accounted_for(outcome, report)
    if fault == "overtaken":
        assert outcome.errors["reordered"] >= report["released"]
    assert "wrong_bytes" not in outcome.errors
    assert "duplicate" not in outcome.errors


@pytest.mark.parametrize(
    "fault", ["corrupt_number", "corrupt_time", "corrupt_filler", "cut", "extra", "empty"]
)
def test_corrupt_datagrams_are_wrong_and_their_right_replies_lost(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("datagrams.py", fault, 20)
    outcome = drive(server, "udp-echo", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors.get("wrong_bytes", 0) == report["faults"] >= 4
    assert outcome.errors["lost"] == report["faults"]
    assert "duplicate" not in outcome.errors
    assert accounted_for(outcome, report)
    assert outcome.details


def test_silent_udp_server_starves_everybody_and_stalls_nobody(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "lost", 1)
    outcome = drive(server, "udp-echo", window=LONG_ENOUGH_S)
    counts = outcome.counts
    assert (counts.attempted, counts.served, counts.starved) == (4, 0, 4)
    assert outcome.errors == {"lost": server.report()["received"]}
    assert outcome.errors["lost"] >= 8
    assert outcome.operations == 0


@pytest.mark.parametrize("size", [16, 65507])
def test_smallest_and_largest_datagram_come_back(plant: Plant, drive: Drive, size: int) -> None:
    outcome = drive(plant("datagrams.py", "correct"), "udp-echo", size=size, connections=1)
    assert outcome.operations > 0
    assert set(outcome.errors) <= {"late"}
    assert outcome.counts.served == 1


# Inside


def test_datagram_that_has_come_is_not_given_up_for_being_read_late(load: Load) -> None:
    """The driver itself may have waited for a CPU in the meantime."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        load.spec = msgspec.structs.replace(load.spec, workload="udp-echo", size=16)
        workload = udp_echo.Workload(load)
        workload.connect()
        workload.begin()
        server.sendto(*server.recvfrom(100))
        load.sending = False
        (client,) = workload._clients
        client.started -= 2 * udp_echo.LOSS_NS
        load.run(1.0, workload.tick, done=lambda: not workload.unanswered())
        assert load.errors == {}
        assert len(load.samples) == 1
        client.sock.close()


def test_datagram_of_a_server_that_takes_its_time_on_purpose_is_lost_later(load: Load) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        changes = {"workload": "udp-echo", "size": 16, "each_s": 1.0}
        load.spec = msgspec.structs.replace(load.spec, **changes)
        workload = udp_echo.Workload(load)
        workload.connect()
        workload.begin()
        load.sending = False
        (client,) = workload._clients
        workload.tick(client.started + 2 * udp_echo.LOSS_NS)
        assert client.waiting
        workload.tick(client.started + 2 * udp_echo.LOSS_NS + 4_000_000_000)
        assert not client.waiting
        assert load.errors["lost"] == 1
        client.sock.close()


def test_datagram_just_sent_is_not_lost_because_none_came_for_long(
    made_up_spec: Callable[..., Spec],
) -> None:
    """As where none was due: others have had their turns meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load = Load(made_up_spec(size=16), Target(*server.getsockname(), rate=1.0))
        workload = udp_echo.Workload(load)
        workload.connect()
        with contextlib.closing(load.epoll), workload._clients[0].sock:
            assert workload.under_way() == 0
            load._counted_at -= 10**10  # ten seconds later
            workload.offer(clock(), clock())
            assert workload.under_way() == 1
            server.sendto(*server.recvfrom(100))
            load.run(10.0, workload.tick, done=lambda: not workload.under_way())
        assert +load.errors == {}
        assert len(load.samples) == 1


def test_datagram_that_the_kernel_does_not_take_is_missed_and_was_never_sent(
    made_up_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise BlockingIOError

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load = Load(made_up_spec(size=16), Target(*server.getsockname(), rate=1.0))
        workload = udp_echo.Workload(load)
        workload.connect()
        with contextlib.closing(load.epoll), workload._clients[0].sock:
            with monkeypatch.context() as patch:
                patch.setattr(udp_echo, "write", full)
                workload.offer(7, clock())
            workload.offer(8, clock())
            assert server.recv(100)[:8] == (1).to_bytes(8)  # no number is left out
            workload._clients[0].under_way[1] = (8, 0)  # long ago
            workload.finish()
        assert list(load.missed) == list(load.unsent) == [7]
        assert list(load.lost) == [8]
        assert load.sent == 1


def test_datagram_answered_after_the_window_is_late_and_not_lost(load: Load) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        load.spec = msgspec.structs.replace(load.spec, workload="udp-echo", size=16)
        workload = udp_echo.Workload(load)
        workload.connect()
        workload.begin()
        datagram, sender = server.recvfrom(100)
        load.sending = False
        (client,) = workload._clients

        def answer_once_given_up(now: int) -> None:
            workload.tick(now)
            if load.errors["lost"]:
                server.sendto(datagram, sender)

        client.started -= 2 * udp_echo.LOSS_NS
        load.run(1.0, answer_once_given_up, done=lambda: not workload.unanswered())
        assert +load.errors == {"late": 1}
        client.sock.close()


@pytest.mark.parametrize("rate", [None, 2000.0])
def test_lost_datagrams_and_those_sent_have_the_same_begin(
    plant: Plant, drive: Drive, rate: float | None
) -> None:
    """Of every ten one is lost, in the warm-up as in the window."""
    server = plant("datagrams.py", "lost", 10)
    outcome = drive(server, "udp-echo", window=0.3, warmup=0.3, rate=rate)
    did = server.report()
    assert outcome.errors["lost"] == did["faults"] > 3
    assert outcome.sent // 10 == did["faults"]
