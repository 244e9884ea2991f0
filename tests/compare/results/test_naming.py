"""What loads are called: for a person, and in the name of a file."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.models.matrix import WORKLOADS
from compare.results.naming import short, slug, title
from compare.results.records import Load

SLOW = {"slow_share": 0.01, "slow_us": 20_000.0}


@st.composite
def loads(draw: st.DrawFn) -> Load:
    due = draw(st.sampled_from(["closed", "rate", "share", "neither"]))
    return Load(
        workload=draw(st.sampled_from(list(WORKLOADS))),
        connections=draw(st.integers(1, 10**6)),
        size=draw(st.integers(1, 2**24)),
        idle=draw(st.integers(0, 10**7)),
        work_us=draw(st.sampled_from([0.0, 0.5, 20.0, 1000.0, 1500.0])),
        wait_us=draw(st.sampled_from([0.0, 0.5, 20.0, 1000.0, 1500.0])),
        **draw(st.sampled_from([{}, SLOW, SLOW | {"slow_us": 500.0}, SLOW | {"slow_share": 0.1}])),
        cores=draw(st.integers(0, 64)),
        tls=draw(st.sampled_from(["none", "full", "resumed"])),
        loop="closed" if due == "closed" else "open",
        # As the command line has them.
        rate=draw(st.integers(1, 10**8)) / 10 if due == "rate" else None,
        share=draw(st.integers(100, 15_000)) / 10_000 if due == "share" else None,
    )


def load(workload: str = "tcp-long", connections: int = 64, **changes: Any) -> Load:
    values: dict[str, Any] = {"size": WORKLOADS[workload].size}
    return Load(workload=workload, connections=connections, **values | changes)


@pytest.mark.parametrize(
    ("one", "words", "few", "file"),
    [
        (load(), "tcp-long, 64 connections", "tcp-long 64", "tcp-long-64-closed"),
        (
            load("udp-echo", 1000),
            "udp-echo, 1,000 client sockets",
            "udp-echo 1000",
            "udp-echo-1000-closed",
        ),
        (load("chat", 8), "chat, 8 members", "chat 8", "chat-8-closed"),
        (
            load(size=65_536),
            "tcp-long, 64 connections, 65,536 B",
            "tcp-long 64 65536 B",
            "tcp-long-64-closed-65536B",
        ),
        (
            load(cores=1),
            "tcp-long, 64 connections, server on 1 core",
            "tcp-long 64, server on 1 core",
            "tcp-long-64-closed-1cores",
        ),
        (
            load(cores=16, loop="open", rate=10.0),
            "tcp-long, 64 connections, server on 16 cores, 10/s due",
            "tcp-long 64, server on 16 cores (10/s due)",
            "tcp-long-64-open-16cores-10",
        ),
        (
            load(tls="full", idle=9),
            "tcp-long, 64 connections over TLS beside 9 idle",
            "tcp-long 64 over TLS beside 9 idle",
            "tcp-long-64-closed-idle9-tls-full",
        ),
        (
            load("tcp-short", tls="full"),
            "tcp-short, 64 connections over TLS (full handshakes)",
            "tcp-short 64 over TLS (full handshakes)",
            "tcp-short-64-closed-tls-full",
        ),
        (
            load("tcp-short", tls="resumed"),
            "tcp-short, 64 connections over TLS (resumed)",
            "tcp-short 64 over TLS (resumed)",
            "tcp-short-64-closed-tls-resumed",
        ),
        (
            load(idle=10_000),
            "tcp-long, 64 connections beside 10,000 idle",
            "tcp-long 64 beside 10000 idle",
            "tcp-long-64-closed-idle10000",
        ),
        (
            load(work_us=50.0, **SLOW),
            "tcp-long, 64 connections, 50us of work and 1% slow by 20ms",
            "tcp-long 64 50us of work and 1% slow by 20ms",
            "tcp-long-64-closed-50us-work-and-1pc-slow-by-20ms",
        ),
        (
            load(wait_us=5000.0),
            "tcp-long, 64 connections, 5ms of waiting",
            "tcp-long 64 5ms of waiting",
            "tcp-long-64-closed-5ms-waiting",
        ),
        (
            load(loop="open", rate=20_000.0),
            "tcp-long, 64 connections, 20,000/s due",
            "tcp-long 64 (20,000/s due)",
            "tcp-long-64-open-20000",
        ),
        (
            load(loop="open", share=0.7),
            "tcp-long, 64 connections, 70% of each one's closed loop due",
            "tcp-long 64 (70% of each one's closed loop due)",
            "tcp-long-64-open-0.7x",
        ),
        (
            load(loop="open"),
            "tcp-long, 64 connections, open loop",
            "tcp-long 64 (open loop)",
            "tcp-long-64-open",
        ),
    ],
)
def test_load_is_called_by_what_is_not_as_usual(one: Load, words: str, few: str, file: str) -> None:
    assert (title(one), short(one), slug(one)) == (words, few, file)


@given(st.lists(loads(), min_size=2, max_size=2, unique=True))
def test_loads_that_differ_have_names_that_differ(pair: list[Load]) -> None:
    for name in (title, short, slug):
        one, other = map(name, pair)
        assert one != other


@pytest.mark.parametrize(("one", "other"), [(1_000_001.0, 1_000_002.0), (123_456.7, 123_456.8)])
def test_rates_that_differ_a_little_have_names_that_differ(one: float, other: float) -> None:
    for name in (title, short, slug):
        assert name(load(loop="open", rate=one)) != name(load(loop="open", rate=other))


def test_large_rate_is_written_out() -> None:
    assert title(load(loop="open", rate=1e6)) == "tcp-long, 64 connections, 1,000,000/s due"


@given(loads())
def test_slug_is_a_name_that_any_file_and_any_page_may_have(one: Load) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.-]+", slug(one))


def test_workload_that_this_version_does_not_know_has_names_too() -> None:
    one = Load(workload="quic", connections=4, size=10)
    assert (title(one), short(one)) == ("quic, 4 connections, 10 B", "quic 4 10 B")
    assert slug(one) == "quic-4-closed-10B"
