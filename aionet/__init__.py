"""Asyncio servers good enough to import.

Names are loaded when they are first used, so that `import aionet.protocol` or `blocking`,
which needs only that, does not load asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aionet.limits import Limits as Limits
    from aionet.limits import Timeouts as Timeouts
    from aionet.protocol import Echo as Echo
    from aionet.protocol import LineReader as LineReader
    from aionet.protocol import Room as Room
    from aionet.protocol import Service as Service
    from aionet.server import Server as Server
    from aionet.server import serve as serve

_HOMES = {
    "Echo": "aionet.protocol",
    "Limits": "aionet.limits",
    "LineReader": "aionet.protocol",
    "Room": "aionet.protocol",
    "Server": "aionet.server",
    "Service": "aionet.protocol",
    "Timeouts": "aionet.limits",
    "serve": "aionet.server",
}

__all__ = [
    "Echo",
    "Limits",
    "LineReader",
    "Room",
    "Server",
    "Service",
    "Timeouts",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aionet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
