"""What the services say, without any I/O: no socket, no thread, no loop, no clock."""

from aionet.protocol.chat import Room
from aionet.protocol.echo import Echo, EchoAndClose
from aionet.protocol.lines import LineReader
from aionet.protocol.service import (
    CLOSE,
    OVERSIZE,
    Answer,
    Close,
    Deliveries,
    Delivery,
    Service,
    datagrams,
)

__all__ = [
    "CLOSE",
    "OVERSIZE",
    "Answer",
    "Close",
    "Deliveries",
    "Delivery",
    "Echo",
    "EchoAndClose",
    "LineReader",
    "Room",
    "Service",
    "datagrams",
]
