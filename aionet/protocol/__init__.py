"""What the services say, without any I/O: no socket, no thread, no loop, no clock."""

from aionet.protocol.chat import Room
from aionet.protocol.echo import Echo, EchoAndClose
from aionet.protocol.lines import LineReader
from aionet.protocol.service import OVERSIZE, Close, Deliveries, Service

__all__ = [
    "OVERSIZE",
    "Close",
    "Deliveries",
    "Echo",
    "EchoAndClose",
    "LineReader",
    "Room",
    "Service",
]
