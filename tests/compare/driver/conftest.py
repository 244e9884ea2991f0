"""What the connections of a driver share, without a driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compare.driver.load import Load, Spec


@pytest.fixture
def load(made_up_spec: Callable[..., Spec]) -> Iterator[Load]:
    """What the connections share, in this process, where nothing runs by itself."""
    load = Load(made_up_spec())
    yield load
    load.epoll.close()
