"""Where a server listens: `tcp://HOST:PORT`, `unix:///PATH` and the other forms of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("tcp", "udp", "tcp+udp", "unix", "fd", "systemd")
IP = ("tcp", "udp", "tcp+udp")

_FORMS = (
    "write it as tcp://HOST:PORT, udp://HOST:PORT, tcp+udp://HOST:PORT, unix:///PATH, "
    "unix:@NAME, fd://NUMBER, systemd: or systemd:NAME"
)
_MAX_DESCRIPTOR = 2**31 - 1  # a C int
# What systemd.socket(5) allows in FileDescriptorName=. A slash would be allowed too, but who
# begins with one wrote the URL that this is not.
_NAME = re.compile(r"(?!/)[ -9;-~]{0,255}")


@dataclass(frozen=True, slots=True)
class Address:
    """What `parse` reads.

    tcp, udp and tcp+udp have a host (a name or an IP address, IPv6 without brackets; empty for
    every interface) and a port. The others have a path instead: unix that of the socket, or @ and a
    name of the abstract namespace, fd the descriptor's number, systemd the name given to the
    sockets (empty for all of them).
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `tcp://127.0.0.1:7007`, `udp://[::1]:0`; without a scheme it is TCP.

        `tcp://:7007` and `tcp://[::]:7007` are every interface, over IPv4 and IPv6.
        `tcp+udp://127.0.0.1:0` is both on one port. `unix:///run/echo.sock` is a stream socket at
        an absolute path, `unix:@echo` one with a name and no file (unix(7)). `fd://3` is a socket
        inherited under that number, `systemd:` is all sockets that socket activation passed,
        and `systemd:web` those called web. Raises ValueError, with a message for a person,
        for anything else.
        """
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is no address; write it as 'tcp://127.0.0.1:7007'")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if text.startswith("systemd:"):
            scheme, rest = "systemd", text.removeprefix("systemd:")
        elif text.startswith("unix:@"):
            scheme, rest = "unix", text.removeprefix("unix:")
        elif not separator:
            scheme, rest = "tcp", text
        if scheme in IP:
            host, port = _host_and_port(text, rest)
            return cls(scheme, host, port)
        if scheme == "unix":
            if not rest.startswith(("/", "@")) or "\0" in rest or rest == "@":
                raise ValueError(f"{text!r} does not name an absolute path; {_FORMS}")
            return cls(scheme, path=rest)
        if scheme == "fd":
            if not re.fullmatch("[0-9]{1,10}", rest) or int(rest) > _MAX_DESCRIPTOR:
                raise ValueError(f"{text!r} does not give a descriptor's number; {_FORMS}")
            return cls(scheme, path=str(int(rest)))
        if scheme == "systemd":
            if not _NAME.fullmatch(rest):
                raise ValueError(f"{text!r} does not give a name that sockets have; {_FORMS}")
            return cls(scheme, path=rest)
        raise ValueError(f"{text!r} has the scheme {scheme!r}; {_FORMS}")

    def __str__(self) -> str:
        if self.scheme in IP:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"{self.scheme}://{host}:{self.port}"
        slashes = "" if self.scheme == "systemd" or self.path.startswith("@") else "//"
        return f"{self.scheme}:{slashes}{self.path}"

    @property
    def unix_name(self) -> str:
        """What bind(2) and connect(2) take for a unix one."""
        return "\0" + self.path[1:] if self.path.startswith("@") else self.path


def address_in(address: object) -> Address:
    """What a program gave for one. Raises ValueError for what is none."""
    return address if isinstance(address, Address) else Address.parse(address)  # type: ignore[arg-type]


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    try:
        # urlsplit() would drop line breaks and tabs without a word.
        if not rest.isprintable() or " " in rest:
            raise ValueError("it has a space or a control character in it")
        parts = urlsplit(f"//{rest}")
        port = parts.port
        if parts.hostname == "*":
            raise ValueError("every interface is no host at all: tcp://:PORT")
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address ({error}); {_FORMS}") from None
    extra = parts.query or parts.fragment or "@" in parts.netloc or parts.path not in ("", "/")
    if port is None or extra:
        raise ValueError(f"{text!r} does not name a host and a port; {_FORMS}")
    return parts.hostname or "", port
