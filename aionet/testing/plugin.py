"""The fixture `memory_server`, which pytest finds by itself where aionet is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def memory_server() -> Iterator[Callable[..., Any]]:
    """Makes servers in memory, of what `MemoryServer` takes; they end with the test.

    def test_it_greets(memory_server):
        peer = memory_server(Room()).connect()
        assert peer.received.startswith(b"* Welcome")
    """
    from aionet.testing import MemoryServer

    with contextlib.ExitStack() as servers:

        def make(service: Any, **settings: Any) -> MemoryServer:
            return servers.enter_context(MemoryServer(service, **settings))

        yield make
