"""What is given to be served, and cannot be, is told where it is given."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from loop_clients import ANY

from aionet import Echo, Listen, run, serve
from aionet.testing import MemoryServer


async def bare(worker: Any) -> AsyncIterator[Any]:
    yield None


@pytest.mark.parametrize("workers", [1, 2])
def test_app_without_its_decorator_is_told_alike(workers: int) -> None:
    said = f"{bare!r} has a yield in it: an app needs @contextlib.asynccontextmanager"
    for give in (
        lambda: run(bare, ANY, workers=workers),
        lambda: serve(bare, ANY),
        lambda: MemoryServer(bare),
    ):
        with pytest.raises(ValueError, match=re.escape(said)) as raised:
            give()
        assert type(raised.value) is ValueError


def test_factory_of_what_cannot_be_served_raises_no_private_error() -> None:
    with pytest.raises(ValueError, match="neither a Service nor a handler") as raised:
        run(ANY, factory=lambda: 7)
    assert type(raised.value) is ValueError


def test_run_within_a_loop_says_what_to_use_there() -> None:
    async def main() -> None:
        run(Echo(), ANY)

    with pytest.raises(RuntimeError, match=r"one runs here already: use serve\(\)"):
        asyncio.run(main())


@asynccontextmanager
async def app(worker: Any) -> AsyncIterator[Any]:
    yield Echo()


def test_app_is_for_run_and_not_for_serve() -> None:
    with pytest.raises(ValueError, match=re.escape(f"{app!r} is an app: give it to run()")):
        serve(app, ANY)
    with pytest.raises(ValueError, match="is an app"):
        serve(Listen(ANY, app))


class Plain:
    def handle(self, stream: Any) -> None:
        stream.close()


def plain(stream: Any) -> None:
    if stream:
        return
    stream.close()


@pytest.mark.parametrize("handler", [plain, Plain().handle])
def test_plain_function_that_returns_nothing_is_no_handler_of_streams(handler: Any) -> None:
    for give in (lambda: serve(handler, ANY), lambda: run(handler, ANY)):
        with pytest.raises(ValueError, match="returns nothing to await: a handler is an async def"):
            give()
    serve(handler, "udp://127.0.0.1:0")


async def handler(stream: Any) -> None:
    stream.close()


def either(stream: Any) -> Any:
    return handler(stream) if stream else None


def passes_on(stream: Any) -> Any:
    if not stream:
        return None
    return handler(stream)


def refuses(stream: Any) -> Any:
    raise OSError("not today")


@pytest.mark.parametrize(
    "gives", [handler, either, passes_on, refuses, partial(handler), lambda stream: handler(stream)]
)
def test_function_that_may_give_an_awaitable_is_a_handler(gives: Any) -> None:
    serve(gives, ANY)
