"""What the connections of a driver share, without a driver; and one driver for several servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.driver.load import Load

DEADLINE_S = 30.0


@pytest.fixture
def load(made_up_spec: Callable[..., Spec]) -> Iterator[Load]:
    """What the connections share, in this process, where nothing runs by itself."""
    load = Load(made_up_spec(), Target("127.0.0.1", 0))
    yield load
    load.epoll.close()


def _drive_all(
    servers: list[Any], workload: str, *, rates: Sequence[float] | None = None, **more: Any
) -> list[Outcome]:
    """`rates`: of each server its own; none for closed loops."""
    values: dict[str, Any] = {
        "connections": 4,
        "size": 100,
        "warmup_s": 0.0,
        "slices": 5,
        "slice_s": 0.02,
        "seed": 1,
    }
    targets = [
        Target(each.host, each.port, each.pid, rate)
        for each, rate in zip(servers, rates or [None] * len(servers), strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "compare.driver"],
        input=msgspec.json.encode(Spec(workload=workload, targets=targets, **values | more)),
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert done.stderr == b""
    return msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[Outcome])


@pytest.fixture
def drive_all() -> Callable[..., list[Outcome]]:
    """Runs one driver, in its own process, against several planted servers by turns."""
    return _drive_all
