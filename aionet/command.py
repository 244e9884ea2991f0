"""`python -m aionet` and `python -m blocking`: what their command lines have in common."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NoReturn

from aionet.address import Address
from aionet.limits import Limits, Timeouts
from aionet.port_owner import port_owner
from aionet.protocol import Echo, Room, Service
from aionet.sockets import address_of, listen

SERVICES: dict[str, Callable[[], Service]] = {"echo": Echo, "udp-echo": Echo, "chat": Room}

_MAX_BYTES = 2**31 - 1  # fits a C int, so every system call and loop takes it
_MAX_SECONDS = 24 * 3600  # epoll_wait(2) counts milliseconds in a C int: at most 24 days

_LIMITS_HELP = {
    "write_buffer": "unsent bytes for a peer above which nothing is read from it",
    "outbox": "unsent bytes for a peer, said by others, above which it is dropped",
}
_TIMEOUTS_HELP = {
    "drain": "seconds to go on sending what is pending after SIGTERM",
    "linger": "seconds to let a peer close first after the service closed it",
}


@dataclass(frozen=True, slots=True)
class Serve:
    """What `serve` was asked to do. `option` is the model or the loop."""

    service: str
    option: str
    address: Address
    limits: Limits
    timeouts: Timeouts

    @property
    def datagrams(self) -> bool:
        return self.address.scheme == "udp"


@dataclass(frozen=True, slots=True)
class Chat:
    """What `chat` was asked to do."""

    host: str
    port: int
    name: str


def parse(
    prog: str, argv: list[str], *, option: str, choices: list[str], option_help: str
) -> Serve | Chat:
    """Read `serve` or `chat`; exits 2 with one line for what cannot be meant.

    `option` is the package's own choice of how to serve: its first choice is the default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{serve,chat}")

    serve = commands.add_parser(
        "serve",
        help="serve echo, udp-echo or chat",
        description="Print READY and the address on stdout once listening. SIGTERM and Ctrl-C "
        "send what is pending and exit 0; a second one ends at once.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    serve.add_argument("service", choices=list(SERVICES))
    serve.add_argument(f"--{option}", choices=choices, default=choices[0], help=option_help)
    serve.add_argument(
        "--listen",
        metavar="tcp://HOST:PORT",
        help="where to listen, udp:// for udp-echo; port 0 takes a free one "
        "(default: port 0 of 127.0.0.1)",
        default=argparse.SUPPRESS,
    )
    for kind, explain in ((Limits, _LIMITS_HELP), (Timeouts, _TIMEOUTS_HELP)):
        for field in fields(kind):
            suffix, read = ("", _size) if kind is Limits else ("-timeout", _seconds)
            serve.add_argument(
                f"--{field.name.replace('_', '-')}{suffix}",
                dest=field.name,
                type=read,
                default=field.default,
                metavar="BYTES" if kind is Limits else "SECONDS",
                help=explain[field.name],
            )

    chat = commands.add_parser(
        "chat",
        help="join a chat room from this terminal",
        description="Type lines to talk; Ctrl-D leaves.",
        allow_abbrev=False,
    )
    chat.add_argument("address", metavar="HOST:PORT")
    chat.add_argument("--name", required=True, help="1 to 32 letters and digits")

    args = parser.parse_args(argv)
    try:
        if args.command == "chat":
            address = Address.parse(args.address)
            if address.scheme != "tcp":
                raise ValueError(f"chat is spoken over TCP, not {address.scheme}")
            return Chat(address.host, address.port, args.name)
        scheme = "udp" if args.service == "udp-echo" else "tcp"
        address = Address.parse(getattr(args, "listen", f"{scheme}://127.0.0.1:0"))
        if address.scheme != scheme:
            raise ValueError(
                f"{args.service} is served over {scheme}, so --listen {address} cannot be; "
                f"use {scheme}://HOST:PORT"
            )
    except ValueError as error:
        (chat if args.command == "chat" else serve).error(str(error))
    return Serve(
        args.service,
        getattr(args, option),
        address,
        Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)}),
        Timeouts(**{field.name: getattr(args, field.name) for field in fields(Timeouts)}),
    )


def _size(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) <= _MAX_BYTES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1 to {_MAX_BYTES}")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= _MAX_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds above 0 and up to {_MAX_SECONDS}"
    )


def listen_or_exit(address: Address) -> socket.socket:
    """A socket listening on `address`, or one line on stderr and exit 1."""
    try:
        return listen(address)
    except (OSError, OverflowError, UnicodeError) as error:
        fail(f"cannot listen on {address}: {_explain(error, address)}")


def _explain(error: Exception, address: Address) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        owner = port_owner(address)
        by = f" by {owner}" if owner else ""
        return f"the port is in use{by}; stop that, or choose another port (0 takes a free one)"
    if code == errno.EACCES:
        return "ports below 1024 need privileges; choose a higher one"
    if code == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; 127.0.0.1 or 0.0.0.0 will do"
    if isinstance(error, socket.gaierror):
        return f"the name {address.host!r} is not known; use an IP address"
    return f"{error}"


def connect_or_exit(host: str, port: int) -> socket.socket:
    """A socket connected to one of the host's addresses, or one line and exit 1."""
    try:
        return socket.create_connection((host, port))
    except (OSError, UnicodeError) as error:
        address = Address("tcp", host, port)
        fail(f"cannot connect to {address}: {error}; is that right, and a server running?")


def show(data: bytes) -> None:
    """Write all of `data` to stdout; while the terminal is stopped, so is everything else."""
    try:
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]
    except OSError as error:
        fail(f"cannot write to stdout: {error.strerror}")


def fail(message: str) -> NoReturn:
    """Say what is wrong in one line on stderr, and exit 1."""
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(1)


def announce(sock: socket.socket) -> None:
    """Tell whoever started us that connecting works from now on, and where."""
    sys.stdout.write(f"READY {address_of(sock)}\n")
    sys.stdout.flush()


def log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
