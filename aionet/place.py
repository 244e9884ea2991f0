"""An address with what is its own."""

from __future__ import annotations

import socket
import ssl
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from aionet.address import Address, address_in
from aionet.given import check_whole
from aionet.inherited import check_kind
from aionet.limits import MAX_INT
from aionet.listen import BACKLOG
from aionet.protocol import Framing
from aionet.protocol.framing import check_framing
from aionet.proxy_header import Trusted
from aionet.tls import check_context

# What is for connections only, and what each is if it is not asked for.
_OF_STREAMS = {"tls": None, "starttls": None, "framing": None, "backlog": BACKLOG, "proxies": ()}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens, and what those find who come there; what is None is the server's.

    address: text that `Address.parse` reads, or a socket that is bound.
    service: what is served there: a service or a handler, see `serve`.
    tls: spoken from the first byte on; starttls: once `Stream.start_tls` is called.
    framing: how its service's messages are told apart, see `serve`.
    mode: of a unix socket's file, such as 0o660.
    backlog: connections that the kernel completes before they are accepted (listen(2)).
    proxies: who may say for whom it connects, by the PROXY protocol: "10.0.0.0/8", "127.0.0.1",
        "unix" for whoever may connect to a unix socket. Everybody who connects there has to.

    Raises ValueError for what cannot be meant.
    """

    address: str | Address | socket.socket
    service: Any = None
    _: KW_ONLY
    tls: ssl.SSLContext | None = None
    starttls: ssl.SSLContext | None = None
    framing: Framing | None = None
    mode: int | None = None
    backlog: int = BACKLOG
    proxies: tuple[str, ...] = ()
    name: str = ""  # the address as it was asked for, also once this is about a socket

    def __post_init__(self) -> None:
        if isinstance(self.address, socket.socket):
            check_kind(self.address)
        else:
            object.__setattr__(self, "address", address_in(self.address))
        if self.framing is not None:
            check_framing(self.framing)
        for name in ("tls", "starttls"):
            context = getattr(self, name)
            if context is not None:
                check_context(name, context)
            if context is not None and context.protocol is ssl.PROTOCOL_TLS_CLIENT:
                raise ValueError(f"{name}= is a context of a client; make it by server_context()")
        Trusted(self.proxies)
        check_whole("backlog", self.backlog, MAX_INT)
        mode: object = self.mode
        if mode is not None and (not isinstance(mode, int) or isinstance(mode, bool)):
            raise ValueError(f"mode is {mode!r}; it must be a number, such as 0o660")
        if self.mode is not None and not (self.is_unix_file and 0 <= self.mode <= 0o777):
            raise ValueError(f"mode is {self.mode:#o}; it is for unix:///PATH, up to 0o777")
        if not self.name:  # as a program has it: a server's parts have the name of that
            object.__setattr__(self, "name", str(self.address))
            self._check_streams()

    def _check_streams(self) -> None:
        """What is for connections would do nothing for datagrams."""
        if not self.has_streams:
            for name, default in _OF_STREAMS.items():
                if getattr(self, name) != default:
                    raise ValueError(f"{name}= is for connections, and {self.name} has datagrams")

    @property
    def is_unix_file(self) -> bool:
        return isinstance(self.address, Address) and (
            self.address.scheme == "unix" and not self.address.path.startswith("@")
        )

    @property
    def only_streams(self) -> bool:
        """Whether only connections do."""
        if isinstance(self.address, Address):
            return self.address.scheme in ("tcp", "unix")
        return self.has_streams

    @property
    def has_streams(self) -> bool:
        """Whether connections may come there."""
        if isinstance(self.address, socket.socket):
            return self.address.type == socket.SOCK_STREAM
        return isinstance(self.address, Address) and self.address.scheme != "udp"

    @property
    def has_datagrams(self) -> bool:
        """Whether datagrams may; what is inherited may be either."""
        if isinstance(self.address, socket.socket):
            return self.address.type == socket.SOCK_DGRAM
        return isinstance(self.address, Address) and self.address.scheme in ("udp", "tcp+udp")

    def on(self, sock: socket.socket) -> Listen:
        """The same on a socket of that address."""
        return replace(self, address=sock, mode=None)

    def serving(self, service: Any) -> Listen:
        """The same with that service."""
        return replace(self, service=service)


def listens(where: tuple[str | Address | socket.socket | Listen, ...]) -> tuple[Listen, ...]:
    return tuple(place if isinstance(place, Listen) else Listen(place) for place in where)


def complete(
    places: tuple[Listen, ...],
    service: Any,
    *,
    tls: ssl.SSLContext | None,
    starttls: ssl.SSLContext | None,
    framing: Framing | None,
) -> tuple[Listen, ...]:
    """Give each what it has not of its own. Raises ValueError if something is for none of them."""
    streams = [place for place in places if place.has_streams]
    for name, value in (("tls", tls), ("starttls", starttls), ("framing", framing)):
        if value is not None and not streams:
            raise ValueError(f"{name}= needs an address of streams, and there are udp ones only")
    if framing is not None and all(place.service is not None for place in places):
        raise ValueError("framing= is for nobody: each Listen has a service of its own")
    return tuple(
        replace(
            place,
            service=service if place.service is None else place.service,
            tls=(place.tls or tls) if place.has_streams else None,
            starttls=(place.starttls or starttls) if place.has_streams else None,
            framing=framing if place.framing is place.service is None else place.framing,
        )
        for place in places
    )
