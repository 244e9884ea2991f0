"""What a service says to a datagram, and to whom that may go, whichever framework sends it."""

from __future__ import annotations

import logging
from typing import Any

from aionet.answerable import Answerable
from aionet.command import Serve
from aionet.core import let_exits_pass
from aionet.protocol import datagrams
from aionet.throttle import throttled


class Answers:
    """Of the service that was asked for on the command line, on `sock`."""

    def __init__(self, task: Serve, sock: Any) -> None:
        self.sock = sock
        self._ask = task.make_service().receive_data
        self._answerable = Answerable(task.limits, sock)

    def to(self, sender: Any, data: bytes) -> list[tuple[Any, bytes]]:
        """Each datagram that is to be sent, with its destination: to be lost if that fails."""
        try:
            said = datagrams(sender, self._ask(sender, data))
            return [(peer, reply) for peer, reply in said if peer in self._answerable]
        except BaseException:
            let_exits_pass()
            failed = "the service failed over a datagram of %s"
            throttled(logging.ERROR, failed, sender, traceback=True)
            return []
