"""A witness of who comes to a server and how they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aionet.hooks import Hooks
from aionet.limits import CloseReason


class Witness:
    """Sees who comes and how they go, and wakes who waits for that."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.closed: list[tuple[Any, CloseReason]] = []
        self.rejected: list[Any] = []
        self.hooks = Hooks(on_open=self.open, on_close=self.close, on_reject=self.reject)
        self._changed = asyncio.Event()

    def open(self, peer: Any) -> None:
        self.opened.append(peer.address)
        self._changed.set()

    def close(self, peer: Any, reason: CloseReason) -> None:
        self.closed.append((peer.address, reason))
        self._changed.set()

    def reject(self, peer: Any) -> None:
        self.rejected.append(peer.address)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    @property
    def reasons(self) -> list[CloseReason]:
        return [reason for _, reason in self.closed]
