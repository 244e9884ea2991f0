"""What the services say, without any I/O: no socket, no thread, no loop, no clock."""

from aionet.protocol.chat import Room
from aionet.protocol.echo import Echo, EchoAndClose
from aionet.protocol.framed import Framed
from aionet.protocol.framing import Exactly, Framing, LengthPrefixed, LineReader, Lines, Until
from aionet.protocol.service import (
    ABORT,
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
    "ABORT",
    "CLOSE",
    "OVERSIZE",
    "Answer",
    "Close",
    "Deliveries",
    "Delivery",
    "Echo",
    "EchoAndClose",
    "Exactly",
    "Framed",
    "Framing",
    "LengthPrefixed",
    "LineReader",
    "Lines",
    "Room",
    "Service",
    "Until",
    "datagrams",
]
