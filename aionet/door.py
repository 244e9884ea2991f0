"""What those find who come by one address of a server."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from aionet.connection import Connection
from aionet.handlers import Handlers, check_stream_handler, shell_of
from aionet.place import Listen
from aionet.protocol import Framed, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """service: of those who come by it. tls: from the start; starttls: later, if asked."""

    service: Service
    tls: ssl.SSLContext | None = None
    starttls: ssl.SSLContext | None = None

    @property
    def may_be_tls(self) -> bool:
        return self.tls is not None or self.starttls is not None


def coming_by(door: Door, kind: type[Connection]) -> type[Connection]:
    """The same connections, which know their door: by their class, so that it takes no memory."""
    return type(kind.__name__, (kind,), {"__slots__": (), "door": door})


def check_ticks(service: Service) -> None:
    """Raises ValueError for a tick that would never come."""
    every, ticks = service.tick_every, type(service).tick is not Service.tick
    name = type(service).__name__
    if every is not None and (not isinstance(every, int | float) or not every > 0):
        raise ValueError(f"{name}.tick_every is {every!r}; it must be above 0 seconds")
    if ticks and every is None and not isinstance(service, Framed):
        raise ValueError(f"{name}.tick() is never called: tick_every says how often")


def doors_of(
    where: tuple[Listen, ...], cancel_on_close: bool
) -> list[tuple[Listen, Door, type[Connection]]]:
    """What is behind each address. Raises ValueError for what cannot be served there."""
    shells: dict[tuple[int, int], tuple[Service, type[Connection]]] = {}
    doors = []
    for listen in where:
        key = (id(listen.service), id(listen.framing))
        if key not in shells:
            service, kind = shell_of(listen.service, cancel=cancel_on_close)
            if listen.framing is not None:
                if isinstance(service, Handlers):
                    raise ValueError(
                        "framing= is for a service; a handler has stream.messages(framing)"
                    )
                service = Framed(service, listen.framing)
            shells[key] = service, kind
        service, kind = shells[key]
        check_ticks(service)
        if isinstance(service, Handlers) and listen.only_streams:
            check_stream_handler(service.handler)
        door = Door(service=service, tls=listen.tls, starttls=listen.starttls)
        doors.append((listen, door, coming_by(door, kind)))
    return doors
