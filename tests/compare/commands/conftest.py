"""The command in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Iterator[Invoke]:
    """Runs the command in this process, with stdout and stderr apart and no terminal."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)
    signal.signal(signal.SIGTERM, before)
