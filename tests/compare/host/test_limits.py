"""What is found not to fit before anything is started, and what to type about it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from compare.host import limits as fit
from compare.host.limits import SPARE_DESCRIPTORS, limits_here, misfit
from compare.models.matrix import MODELS, WORKLOADS

LIMITS = {
    "/proc/sys/kernel/threads-max": "1000",
    "/proc/sys/kernel/pid_max": "900",
    "/proc/sys/net/core/somaxconn": "500",
}


@pytest.fixture(autouse=True)
def a_small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """5000 descriptors, 1000 threads, 900 processes, a backlog of 500, 2000 ports."""
    read_text = Path.read_text
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 5000))
    monkeypatch.setattr(fit, "ephemeral_ports", lambda: 2000)
    monkeypatch.setattr(Path, "read_text", lambda path: LIMITS.get(str(path)) or read_text(path))


def test_what_fits_fits() -> None:
    for model in MODELS.values():
        for workload in WORKLOADS.values():
            assert misfit(model, workload, 400) is None


def test_model_that_can_use_few_descriptors_says_so() -> None:
    assert misfit(MODELS["select"], WORKLOADS["tcp-long"], 960) is None
    words = misfit(MODELS["select"], WORKLOADS["tcp-long"], 961) or ""
    assert "select can use no more than 1024" in words
    assert "--connections 960" in words


@pytest.mark.parametrize(
    ("model", "workload", "connections", "words"),
    [
        (
            "epoll",
            "tcp-long",
            4937,
            ["need 5001 descriptors", "may have 5000", "ulimit -Hn 5001", "--connections 4936"],
        ),
        ("threaded", "chat", 837, ["threads", "pid_max is 900", "sysctl -w kernel.pid_max=1674"]),
        ("epoll", "udp-echo", 2001, ["ports", "ip_local_port_range", "--connections 2000"]),
        ("blocking", "chat", 501, ["500 would queue", "is 500", "net.core.somaxconn=501"]),
    ],
)
def test_what_does_not_fit_is_named_with_what_to_type(
    model: str, workload: str, connections: int, words: list[str]
) -> None:
    found = misfit(MODELS[model], WORKLOADS[workload], connections)
    assert found is not None
    for each in words:
        assert each in found
    # One connection fewer, and this limit holds.
    assert misfit(MODELS[model], WORKLOADS[workload], connections - 1) is None


@pytest.mark.parametrize(
    ("model", "workload"), [("threaded", "udp-echo"), ("epoll", "tcp-long"), ("blocking", "chat")]
)
def test_what_starts_no_thread_for_a_connection_needs_none(model: str, workload: str) -> None:
    assert "thread" not in (misfit(MODELS[model], WORKLOADS[workload], 1900) or "")


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-short"])
def test_server_that_serves_one_at_a_time_keeps_nobody_waiting_for_long_there(
    workload: str,
) -> None:
    assert misfit(MODELS["blocking"], WORKLOADS[workload], 1900) is None


def test_limit_that_cannot_be_read_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert misfit(MODELS["threaded"], WORKLOADS["tcp-long"], 4000) is None


@pytest.mark.parametrize("descriptors", [20, 64, 65, 5000])
def test_descriptors_are_as_many_as_there_may_be(
    descriptors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, descriptors))
    assert limits_here().descriptors == descriptors
    words = misfit(MODELS["epoll"], WORKLOADS["tcp-long"], 5000) or ""
    assert f"may have {descriptors}:" in words
    assert ("--connections" in words) == (descriptors > SPARE_DESCRIPTORS)
    assert "-" not in words.partition("--connections ")[2]


def test_unlimited_descriptors_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, resource.RLIM_INFINITY))
    assert misfit(MODELS["epoll"], WORKLOADS["tcp-long"], 1_000_000) is None
