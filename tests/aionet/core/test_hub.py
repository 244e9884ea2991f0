"""What one peer, or one failure, must not cost the others, without I/O."""

from __future__ import annotations

from typing import Any

import pytest
from far_peers import Network

from aionet.limits import Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Service


class Interrupted(BaseException):
    """As asyncio.CancelledError, or KeyboardInterrupt: no Exception."""


class Stubborn(Service):
    """Fails once, with what no `except Exception` catches."""

    def __init__(self) -> None:
        self.fails = True

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return data

    def receive_eof(self, peer: Any) -> Answer:
        if self.fails:
            self.fails = False
            raise Interrupted
        return CLOSE


def test_what_is_no_exception_keeps_nobody_elses_end_back() -> None:
    network = Network(Stubborn(), Limits(), Timeouts(), 2)
    first, second = network.connect(), network.connect()
    with pytest.raises(Interrupted):
        network.finish(first)
    network.finish(second)
    network.pass_time(3.0)
    assert second.ends == 1
    assert not second.place
