"""Asyncio servers good enough to import.

Names are loaded when they are first used, so that `import aionet.protocol` or `blocking`,
which needs only that, does not load asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aionet.address import Address as Address
    from aionet.app import Worker as Worker
    from aionet.client import connect as connect
    from aionet.datagram import Datagram as Datagram
    from aionet.datagram_client import DatagramClient as DatagramClient
    from aionet.datagram_client import connect_datagram as connect_datagram
    from aionet.handlers import Handler as Handler
    from aionet.hooks import Hooks as Hooks
    from aionet.limits import CloseReason as CloseReason
    from aionet.limits import Limits as Limits
    from aionet.limits import Timeouts as Timeouts
    from aionet.peer import Peer as Peer
    from aionet.place import Listen as Listen
    from aionet.protocol import ABORT as ABORT
    from aionet.protocol import CLOSE as CLOSE
    from aionet.protocol import OVERSIZE as OVERSIZE
    from aionet.protocol import Answer as Answer
    from aionet.protocol import Close as Close
    from aionet.protocol import Deliveries as Deliveries
    from aionet.protocol import Delivery as Delivery
    from aionet.protocol import Echo as Echo
    from aionet.protocol import Exactly as Exactly
    from aionet.protocol import Framed as Framed
    from aionet.protocol import Framing as Framing
    from aionet.protocol import LengthPrefixed as LengthPrefixed
    from aionet.protocol import LineReader as LineReader
    from aionet.protocol import Lines as Lines
    from aionet.protocol import Room as Room
    from aionet.protocol import Service as Service
    from aionet.protocol import Until as Until
    from aionet.relaying import relay as relay
    from aionet.runner import run as run
    from aionet.server import Server as Server
    from aionet.server import serve as serve
    from aionet.stats import DrainReport as DrainReport
    from aionet.stats import Stats as Stats
    from aionet.stream import Stream as Stream
    from aionet.stream_errors import BrokenStreamError as BrokenStreamError
    from aionet.stream_errors import ClosedStreamError as ClosedStreamError
    from aionet.stream_errors import IncompleteError as IncompleteError
    from aionet.tls import server_context as server_context

__version__ = "0.1.0"

_HOMES = {
    "ABORT": "aionet.protocol",
    "CLOSE": "aionet.protocol",
    "OVERSIZE": "aionet.protocol",
    "Address": "aionet.address",
    "Answer": "aionet.protocol",
    "BrokenStreamError": "aionet.stream_errors",
    "Close": "aionet.protocol",
    "CloseReason": "aionet.limits",
    "ClosedStreamError": "aionet.stream_errors",
    "Datagram": "aionet.datagram",
    "DatagramClient": "aionet.datagram_client",
    "Deliveries": "aionet.protocol",
    "Delivery": "aionet.protocol",
    "DrainReport": "aionet.stats",
    "Echo": "aionet.protocol",
    "Exactly": "aionet.protocol",
    "Framed": "aionet.protocol",
    "Framing": "aionet.protocol",
    "Handler": "aionet.handlers",
    "Hooks": "aionet.hooks",
    "IncompleteError": "aionet.stream_errors",
    "LengthPrefixed": "aionet.protocol",
    "Limits": "aionet.limits",
    "LineReader": "aionet.protocol",
    "Lines": "aionet.protocol",
    "Listen": "aionet.place",
    "Peer": "aionet.peer",
    "Room": "aionet.protocol",
    "Server": "aionet.server",
    "Service": "aionet.protocol",
    "Stats": "aionet.stats",
    "Stream": "aionet.stream",
    "Timeouts": "aionet.limits",
    "Until": "aionet.protocol",
    "Worker": "aionet.app",
    "connect": "aionet.client",
    "connect_datagram": "aionet.datagram_client",
    "relay": "aionet.relaying",
    "run": "aionet.runner",
    "serve": "aionet.server",
    "server_context": "aionet.tls",
}

__all__ = [
    "ABORT",
    "CLOSE",
    "OVERSIZE",
    "Address",
    "Answer",
    "BrokenStreamError",
    "Close",
    "CloseReason",
    "ClosedStreamError",
    "Datagram",
    "DatagramClient",
    "Deliveries",
    "Delivery",
    "DrainReport",
    "Echo",
    "Exactly",
    "Framed",
    "Framing",
    "Handler",
    "Hooks",
    "IncompleteError",
    "LengthPrefixed",
    "Limits",
    "LineReader",
    "Lines",
    "Listen",
    "Peer",
    "Room",
    "Server",
    "Service",
    "Stats",
    "Stream",
    "Timeouts",
    "Until",
    "Worker",
    "connect",
    "connect_datagram",
    "relay",
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
