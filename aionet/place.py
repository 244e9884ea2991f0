"""An address with what is its own."""

from __future__ import annotations

import socket
import ssl
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from aionet.address import Address
from aionet.inherited import check_kind
from aionet.listen import BACKLOG
from aionet.protocol import Framing, Lines
from aionet.proxy_header import Trusted


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
        if not isinstance(self.address, str | Address | socket.socket):
            raise ValueError(f"{self.address!r} is no address; write it as 'tcp://127.0.0.1:7007'")
        if isinstance(self.framing, type) or not hasattr(self.framing or Lines(), "find"):
            raise ValueError(f"framing is {self.framing!r}; it must be such as LengthPrefixed(4)")
        if isinstance(self.address, str):
            object.__setattr__(self, "address", Address.parse(self.address))
        elif isinstance(self.address, socket.socket):
            check_kind(self.address)
        if not self.name:
            object.__setattr__(self, "name", str(self.address))
        for name in ("tls", "starttls"):
            context = getattr(self, name)
            if context is not None and not isinstance(context, ssl.SSLContext):
                raise ValueError(f"{name} is {context!r}; it must be an ssl.SSLContext")
            if context is not None and context.protocol is ssl.PROTOCOL_TLS_CLIENT:
                raise ValueError(f"{name}= is a context of a client; make it by server_context()")
        Trusted(self.proxies)
        if self.backlog < 1:
            raise ValueError(f"backlog is {self.backlog}; it must be at least 1")
        if self.mode is not None and not (self.is_unix_file and 0 <= self.mode <= 0o777):
            raise ValueError(f"mode is {self.mode:#o}; it is for unix:///PATH, up to 0o777")

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
