"""Notes of what a handler has seen, and the records of what was logged of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from aionet.limits import CloseReason
from aionet.stream import BrokenStreamError, ClosedStreamError


class Notes(list[Any]):
    """What a handler has seen, with the error that ended a step of it."""

    async def of(self, step: Awaitable[Any]) -> None:
        try:
            self.append(await step)
        except (BrokenStreamError, ClosedStreamError, RuntimeError) as error:
            self.append(error)

    @property
    def last_reason(self) -> CloseReason:
        assert isinstance(self[-1], BrokenStreamError), self
        return self[-1].reason


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]
