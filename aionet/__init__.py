"""Asyncio servers good enough to import.

Names are loaded when they are first used, so that `import aionet.protocol` or `blocking`,
which needs only that, does not load asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aionet.datagram import Datagram as Datagram
    from aionet.hooks import Hooks as Hooks
    from aionet.limits import CloseReason as CloseReason
    from aionet.limits import Limits as Limits
    from aionet.limits import Timeouts as Timeouts
    from aionet.protocol import CLOSE as CLOSE
    from aionet.protocol import OVERSIZE as OVERSIZE
    from aionet.protocol import Close as Close
    from aionet.protocol import Echo as Echo
    from aionet.protocol import LineReader as LineReader
    from aionet.protocol import Room as Room
    from aionet.protocol import Service as Service
    from aionet.runner import run as run
    from aionet.server import Server as Server
    from aionet.server import serve as serve
    from aionet.stats import DrainReport as DrainReport
    from aionet.stats import Stats as Stats
    from aionet.stream import BrokenStreamError as BrokenStreamError
    from aionet.stream import ClosedStreamError as ClosedStreamError
    from aionet.stream import Stream as Stream
    from aionet.tls import server_context as server_context

__version__ = "0.1.0"

_HOMES = {
    "CLOSE": "aionet.protocol",
    "Close": "aionet.protocol",
    "OVERSIZE": "aionet.protocol",
    "BrokenStreamError": "aionet.stream",
    "CloseReason": "aionet.limits",
    "ClosedStreamError": "aionet.stream",
    "Datagram": "aionet.datagram",
    "DrainReport": "aionet.stats",
    "Echo": "aionet.protocol",
    "Hooks": "aionet.hooks",
    "Limits": "aionet.limits",
    "LineReader": "aionet.protocol",
    "Room": "aionet.protocol",
    "Server": "aionet.server",
    "Service": "aionet.protocol",
    "Stats": "aionet.stats",
    "Stream": "aionet.stream",
    "Timeouts": "aionet.limits",
    "run": "aionet.runner",
    "serve": "aionet.server",
    "server_context": "aionet.tls",
}

__all__ = [
    "CLOSE",
    "OVERSIZE",
    "BrokenStreamError",
    "Close",
    "CloseReason",
    "ClosedStreamError",
    "Datagram",
    "DrainReport",
    "Echo",
    "Hooks",
    "Limits",
    "LineReader",
    "Room",
    "Server",
    "Service",
    "Stats",
    "Stream",
    "Timeouts",
    "run",
    "serve",
    "server_context",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aionet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
