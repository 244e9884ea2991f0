"""What is given to be served, and cannot be, is told where it is given."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loop_clients import ANY

from aionet import run, serve
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
