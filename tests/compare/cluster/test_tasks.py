"""Where a server on another host is reached."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from compare.host.launch import LaunchError

tasks = pytest.importorskip("compare.cluster.tasks")


def _reached_at(listening: str, host: str) -> Any:
    return tasks._reached_at(SimpleNamespace(host=listening), host)


@pytest.mark.parametrize("anywhere", ["0.0.0.0", "::"])
def test_server_that_listens_everywhere_is_reached_at_its_host(anywhere: str) -> None:
    assert _reached_at(anywhere, "10.0.0.1") == "10.0.0.1"


def test_server_says_best_where_it_listens() -> None:
    assert _reached_at("10.0.0.7", "10.0.0.1") == "10.0.0.7"
    assert _reached_at("127.0.0.1", "127.0.0.1") == "127.0.0.1"


def test_server_that_only_its_own_host_reaches_is_refused_with_what_to_do() -> None:
    with pytest.raises(LaunchError, match=r"have it listen at \{host\}"):
        _reached_at("127.0.0.1", "10.0.0.1")
