"""What a program may want to know of its connections as they come and go."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aionet.limits import CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Called on the event loop, so they must not wait. `peer.address` says who it is.

    on_accept: whether a connection is let in; it is reset if not, and if this raises. `peer` has an
        address, and nothing was read of it.
    on_open: a connection has got its place; over TLS, before its handshake.
    on_close: it has ended, once for every on_open.
    on_reject: a connection was reset because a limit was reached, or on_accept did not let it in;
        no on_open, no on_close.

    A hook that raises is logged, and the connection goes on.
    """

    on_accept: Callable[[Any], bool] | None = None
    on_open: Callable[[Any], None] | None = None
    on_close: Callable[[Any, CloseReason], None] | None = None
    on_reject: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what is no function, or would have to be awaited."""
        for name in ("on_accept", "on_open", "on_close", "on_reject"):
            check_callback(name, getattr(self, name))


def check_callback(name: str, callback: object) -> None:
    """Raises ValueError for what cannot be called, or would be called and never awaited."""
    if callback is not None and not callable(callback):
        raise ValueError(f"{name} is {callback!r}; it must be a function, or None")
    if inspect.iscoroutinefunction(callback):
        raise ValueError(f"{name} is a coroutine function; it must be a plain one, and not wait")
