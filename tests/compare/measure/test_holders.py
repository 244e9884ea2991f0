"""How many connections are shared out over processes, and where they come from."""

from __future__ import annotations

import socket
import subprocess
import sys
from array import array
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.contract.counts import Counts
from compare.contract.histogram import encode, fold, merge
from compare.contract.hold import Held, Order
from compare.measure import holders
from compare.measure.driver_process import DriverError
from compare.measure.holders import Holders, merge_held, own_addresses, split_order


@given(st.integers(1, 10**6), st.integers(1, 64), st.none() | st.floats(1, 10**6))
def test_shares_are_even_and_add_up(connections: int, parts: int, rate: float | None) -> None:
    shares = split_order(Order(connections=connections, size=1, seed=1, rate=rate), parts)
    counts = [each.connections for each in shares]
    assert sum(counts) == connections
    assert max(counts) - min(counts) <= 1
    rates = [each.rate for each in shares]
    if rate is None:
        assert rates == [None] * parts
    else:
        assert sum(each for each in rates if each) == pytest.approx(rate)


def test_what_became_of_the_parts_adds_up() -> None:
    parts = [
        Held(
            counts=Counts(attempted=3, connected=3, served=2, starved=1),
            errors={"eof": 1},
            details=["one"],
            connect=encode(fold(array("Q", [1000] * 3))),
            first_reply=encode(fold(array("Q", [2000] * 2))),
            late=1,
            took_ns=took,
            stopped=stopped,
        )
        for took, stopped in ((5, None), (7, "EMFILE"))
    ]
    held = merge_held(parts)
    assert held.counts == Counts(attempted=6, connected=6, served=4, starved=2)
    assert (held.errors, held.late, held.took_ns, held.stopped) == ({"eof": 2}, 2, 7, "EMFILE")
    assert merge([held.first_reply]).get_total_count() == 4


def test_process_that_says_what_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(_: list[str], __: object, **pipes: Any) -> subprocess.Popen[bytes]:
        code = "print('[', flush=True); input()"
        return subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes)

    monkeypatch.setattr(holders, "start", odd)
    with (
        pytest.raises(DriverError, match="the driver said what cannot be"),
        Holders(("127.0.0.1", 7), None) as held,
    ):
        held.open(Order(connections=1, size=1, seed=1, rate=None), lambda: None)


def test_process_that_ends_before_it_knows_what_to_hold_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(_: list[str], __: object, **pipes: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True, **pipes)
        process.wait()
        return process

    monkeypatch.setattr(holders, "start", ended)
    order = Order(connections=1, size=1, seed=1, rate=None)
    with (
        pytest.raises(DriverError, match="a process that held connections ended"),
        Holders(("127.0.0.1", 7), None) as held,
    ):
        held.open(order, lambda: None)


class _Address:
    family = socket.AF_INET

    def __init__(self, address: str) -> None:
        self.address = address


def test_all_addresses_of_the_interface_that_leads_there_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = _Address("127.0.0.1"), _Address("127.0.0.7")
    monkeypatch.setattr(
        psutil, "net_if_addrs", lambda: {"eth1": [_Address("10.0.0.1")], "lo": [one, two]}
    )
    assert own_addresses("127.0.0.9") == ["127.0.0.1", "127.0.0.7"]


def test_where_there_is_one_address_the_kernel_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [_Address("127.0.0.1")]})
    assert own_addresses("127.0.0.9") == []
    assert own_addresses("::1") == []


def test_process_that_ends_while_its_connections_stand_is_named() -> None:
    with Holders(("127.0.0.1", 9), None) as held:
        found = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        held._processes.append(found)
        held.check()
        found.kill()
        found.wait()
        with pytest.raises(DriverError, match=r"held connections ended: signal 9 "):
            held.check()
