"""Addresses of a name, tried beside each other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_runs import Run

from aionet import happy_eyeballs
from aionet.happy_eyeballs import Place, connected, interleaved

FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6])


@given(st.lists(st.tuples(FAMILIES, st.integers())))
def test_families_take_turns_and_nobody_is_lost(places: list[Place]) -> None:
    turns = interleaved(places)
    assert sorted(turns) == sorted(places)
    for family in (socket.AF_INET, socket.AF_INET6):
        assert [p for p in turns if p[0] == family] == [p for p in places if p[0] == family]
    if places:
        assert turns[0] == places[0]
        fewer = min(sum(p[0] == f for p in places) for f in (socket.AF_INET, socket.AF_INET6))
        alternating = [family for family, _ in turns[: 2 * fewer]]
        assert all(a != b for a, b in itertools.pairwise(alternating))


@contextlib.contextmanager
def name_has(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> Any:
    async def resolved(host: str, port: int) -> list[Place]:
        return [(socket.AF_INET, address) for address in addresses]

    with monkeypatch.context() as patch:
        patch.setattr(happy_eyeballs, "_resolved", resolved)
        yield


@pytest.fixture
def silent() -> Any:
    """An address that does not answer: its accept queue is full, so the kernel drops a SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as s:
        for _ in range(4):
            sock = s.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_address_that_does_not_answer_holds_up_nobody_for_long(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch, silent: tuple[str, int]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as good:

        async def main() -> None:
            with name_has(monkeypatch, silent, good.getsockname()):
                clock = asyncio.get_running_loop().time  # of the timer: uvloop's has whole ms
                began = clock()
                with await connected("name", 1) as sock:
                    assert sock.getpeername() == good.getsockname()
                    assert clock() - began >= happy_eyeballs.STAGGER_S
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run(main())


def test_address_that_refuses_holds_up_nobody(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER_S", 1000)
    with socket.create_server(("127.0.0.1", 0)) as good:

        async def main() -> None:
            with (
                name_has(monkeypatch, ("127.0.0.1", 1), good.getsockname()),
                await connected("name", 1) as sock,
            ):
                assert sock.getpeername() == good.getsockname()

        run(main())


def test_errors_of_all_addresses_are_told(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with (
            name_has(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", 2)),
            pytest.raises(OSError, match=r"no address answered: .*1.*; .*2"),
        ):
            await connected("name", 1)

    run(main())


def test_name_that_is_not_known_is_named(run: Run[Any]) -> None:
    with pytest.raises(socket.gaierror, match=r"'nobody\.invalid'"):
        run(connected("nobody.invalid", 7))
