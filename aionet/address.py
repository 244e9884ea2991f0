"""Where a server listens: `tcp://HOST:PORT`, `udp://HOST:PORT`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class Address:
    """A transport, a host (a name or an IP address, IPv6 without brackets) and a port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `tcp://127.0.0.1:7007`, `udp://[::1]:0`; without a scheme it is TCP.

        Raises ValueError, with a message for a person, for anything else.
        """
        form = "write it as tcp://HOST:PORT or udp://HOST:PORT"
        url = text if "://" in text else f"tcp://{text}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{text!r} is not an address ({error}); {form}") from None
        if parts.scheme not in SCHEMES:
            raise ValueError(f"{text!r} has the scheme {parts.scheme!r}; {form}")
        if port is None or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"{text!r} does not name a host and a port; {form}")
        return cls(parts.scheme, parts.hostname, port)

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address (a name is looked up as IPv4)."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).version == 6
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
