"""The certificates of a server, which are read again when their files change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from aionet.door import Door
from aionet.tls import ServerContext

log = logging.getLogger("aionet")

LOOK_S = 1.0  # between two looks at the files


class Certificates:
    """Of all doors, as far as they come from `server_context`; false if there are none."""

    def __init__(self, doors: Iterable[Door]) -> None:
        contexts = {context for door in doors for context in (door.tls, door.starttls)}
        self._contexts = [each for each in contexts if isinstance(each, ServerContext)]
        self._looking: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._contexts)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the files from time to time, and read those that have changed."""
        if self._contexts:
            self._looking = loop.call_later(LOOK_S, self._look, loop)

    def forget(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    def reload(self) -> None:
        """Read them all; what cannot be read is logged, and stays as it is."""
        for context in self._contexts:
            _keep(context.reload)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        for context in self._contexts:
            _keep(context.reload_if_changed)
        self.watch(loop)


def _keep(reload: Callable[[], object]) -> None:
    try:
        reload()
    except OSError as error:
        log.error("certificates cannot be read, and stay as they are: %s", error)
