"""`python -m aionet` and `python -m blocking`: what their command lines have in common."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from aionet.address import Address
from aionet.limits import Limits, Timeouts
from aionet.listen_errors import explaining
from aionet.options import add_options, limiting, read_options
from aionet.protocol import Echo, EchoAndClose, Room, Service
from aionet.sockets import listen

if TYPE_CHECKING:
    from aionet.tls import ServerContext

    Commands = argparse._SubParsersAction[Any]

STDIN, STDOUT, STDERR = 0, 1, 2
MAX_WORKERS = 1024
USAGE = 2  # the exit status for what cannot be meant, as argparse's

SERVICES: dict[str, Callable[[Limits], Service]] = {
    "echo": lambda limits: Echo(),
    "udp-echo": lambda limits: Echo(),
    "chat": lambda limits: Room(line_limit=limits.message),
}
# What a program that starts one of these has around its service: called with both, it gives what
# is served in the place of that.
AROUND: list[Callable[[Serve, Service], Any]] = []


_OF_CONNECTIONS = frozenset(
    (
        *("connections", "per_peer", "rate", "peer_rate", "on_full", "write_buffer", "min_rate"),
        *("idle", "write", "half_closed", "drain", "linger"),
    )
)
# The settings that change something, by what is served. Others are refused: whoever asks for a
# limit must not believe to have it.
USED = {
    "echo": _OF_CONNECTIONS,
    "udp-echo": frozenset(("udp_rate", "udp_rate_loopback", "udp_low_ports", "drain")),
    "chat": _OF_CONNECTIONS | {"message", "outbox", "message_timeout"},
}


@dataclass(frozen=True, slots=True)
class Serve:
    """What `serve` was asked to do. `option` is the model or the loop."""

    service: str
    option: str
    addresses: tuple[Address, ...]
    limits: Limits
    timeouts: Timeouts
    close_after: int | None = None
    workers: int = 1
    tls: tuple[str, str | None] | None = None  # the files of the certificate and the key
    talk: str | None = None  # the name under which who sits at the server is a member, too

    @property
    def is_app(self) -> bool:
        """Whether it is a program's own: MODULE:OBJECT."""
        return ":" in self.service

    @property
    def datagrams(self) -> bool:
        return self.service == "udp-echo"

    def make_service(self) -> Service:
        if self.close_after is not None:
            service: Service = EchoAndClose(self.close_after)
        else:
            service = SERVICES[self.service](self.limits)
        for around in AROUND:
            service = around(self, service)
        return service

    def refuse_useless(self, never: Collection[str] = (), why: str = "") -> None:
        """One line on stderr and exit 1 for an option that would change nothing.

        never: settings that this way of serving has no use for; why: the reason, for the line.
        """
        if self.is_app:
            return  # nobody knows
        used = USED[self.service] | ({"handshake"} if self.tls else set())
        if all(each.scheme == "unix" for each in self.addresses):
            used -= {"per_peer", "peer_rate"}
        for key, option in limiting(self.limits, self.timeouts).items():
            if key in never:
                fail(f"{option} does nothing with {self.option}: {why}")
            if key not in used:
                where = " without --tls-cert" if key == "handshake" else f" for {self.service}"
                where = " on unix sockets" if key in ("per_peer", "peer_rate") else where
                fail(f"{option} does nothing{where}; leave it out")


@dataclass(frozen=True, slots=True)
class Chat:
    """What `chat` was asked to do."""

    host: str
    port: int
    name: str


def parse(
    prog: str,
    argv: list[str],
    *,
    option: str,
    choices: list[str],
    option_help: str,
    named: str | None = None,
    settings: Collection[str] | None = None,
    more: Callable[[Commands], None] | None = None,
) -> Serve | Chat:
    """Read `serve` or `chat`; exits 2 with one line for what cannot be meant.

    `option` is the package's own choice of how to serve: its first choice is the default. `named`:
    how what is none of the choices is written, with a colon, if there may be such.
    `settings` are the limits and timeouts that it keeps to; one that keeps to all of them
    can also have several addresses and workers. `more` adds commands of its own, which are
    carried out here: their default for `run` takes what was read, and gives the exit status.
    """
    open_standard_streams()
    parser = Parser(prog=f"python -m {prog}", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser(
        "serve",
        help="serve echo, udp-echo or chat"
        + (", or a program of your own" if settings is None else ""),
        description="Print READY and the address on stdout once listening. SIGTERM and Ctrl-C "
        "send what is pending and exit 0; a second one ends at once.",
        allow_abbrev=False,
    )
    if settings is not None:
        serve.add_argument("service", choices=list(SERVICES))
    else:
        serve.add_argument(
            "service",
            type=_one_of(SERVICES, "MODULE:OBJECT, such as myapp:handler"),
            help=f"{', '.join(SERVICES)}, or MODULE:OBJECT: a service of your own, its class, a "
            "handler or an app as of aionet.run, imported by each worker; SIGHUP replaces these",
        )
    serve.add_argument(
        f"--{option}",
        type=_one_of(choices, named),
        metavar=option.upper(),
        default=choices[0],
        help=f"{option_help}: {_listed(choices, named)} (default: {choices[0]})",
    )
    places = "tcp://HOST:PORT; port 0 takes a free one, and no host means all interfaces"
    serve.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        help=f"{places}; udp:// for udp-echo (default: port 0 of 127.0.0.1)"
        if settings is not None
        else f"{places}; or unix:///PATH, fd://N, systemd:[NAME]; udp:// for udp-echo; "
        "may be repeated (default: port 0 of 127.0.0.1)",
    )
    serve.add_argument(
        "--close-after",
        type=_bytes,
        metavar="BYTES",
        help="echo: close each connection, before the client does, when so much was echoed",
    )
    if settings is not None:
        serve.add_argument(
            "--talk",
            metavar="NAME",
            help="chat on epoll: its own keyboard takes part, under this name",
        )
    else:
        serve.add_argument(
            "--workers",
            type=_count,
            default=1,
            metavar="N",
            help="processes that share the port; each has the limits below (default: 1)",
        )
    serve.add_argument("--tls-cert", metavar="FILE", help="PEM: the chain, perhaps the key")
    serve.add_argument("--tls-key", metavar="FILE", help="PEM, where --tls-cert has no key")
    add_options(serve, settings)

    chat = commands.add_parser(
        "chat",
        help="join a chat room from this terminal",
        description="Type lines to talk; Ctrl-D leaves.",
        allow_abbrev=False,
    )
    chat.add_argument("address", metavar="HOST:PORT")
    chat.add_argument("--name", required=True, help="1 to 32 letters and digits")

    if more is not None:
        more(commands)
    commands.metavar = f"{{{','.join(commands.choices)}}}"
    args = parser.parse_args(argv)
    if args.command not in ("serve", "chat"):
        raise SystemExit(args.run(args))
    try:
        if args.command == "chat":
            address = Address.parse(args.address)
            if address.scheme != "tcp":
                raise ValueError(f"chat is spoken over TCP, not {address.scheme}")
            return Chat(address.host, address.port, args.name)
        addresses = _addresses(args.service, args.listen, only_ip=settings is not None)
        workers = args.workers if settings is None else 1
        certificate, key = args.tls_cert, args.tls_key
        if workers > 1 and args.service == "chat":
            raise ValueError(
                f"chat cannot have --workers {workers}: members of different processes would "
                "never meet; leave it at 1"
            )
        if args.close_after is not None and args.service != "echo":
            raise ValueError(f"--close-after is for echo, not for {args.service}")
        if key and not certificate:
            raise ValueError("--tls-key needs --tls-cert FILE")
        if certificate and args.service == "udp-echo":
            raise ValueError("udp-echo cannot have --tls-cert: TLS needs a stream")
        limits, timeouts = read_options(args)
    except ValueError as error:
        (chat if args.command == "chat" else serve).error(str(error))
    return Serve(
        args.service,
        getattr(args, option),
        addresses,
        limits,
        timeouts,
        args.close_after,
        workers,
        (certificate, key) if certificate else None,
        args.talk if settings is not None else None,
    )


def _addresses(service: str, asked_for: list[str] | None, *, only_ip: bool) -> tuple[Address, ...]:
    """Where to listen. Raises ValueError for what does not suit the service."""
    scheme = "udp" if service == "udp-echo" else "tcp"
    addresses = tuple(Address.parse(each) for each in asked_for or [f"{scheme}://127.0.0.1:0"])
    if ":" in service:
        return addresses
    for address in addresses:
        wrong = ("tcp", "tcp+udp") if scheme == "udp" else ("udp", "tcp+udp")
        if address.scheme in wrong or (scheme == "udp" and address.scheme == "unix"):
            raise ValueError(
                f"{service} is served over {scheme}, so --listen {address} cannot be; "
                f"use {scheme}://HOST:PORT"
            )
        if only_ip and address.scheme != scheme:
            raise ValueError(f"--listen {address} is for aionet only; use {scheme}://HOST:PORT")
    if only_ip and len(addresses) > 1:
        raise ValueError("--listen may be given once; each model serves one socket")
    return addresses


class Parser(argparse.ArgumentParser):
    """Says in a line what cannot be meant, without the options that can be."""

    def parse_known_args(self, *args: Any, **more: Any) -> Any:
        """Of a command, too: its own --help has what can be."""
        found, rest = super().parse_known_args(*args, **more)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help tells what can be\n")


def _one_of(choices: Collection[str], named: str | None) -> Callable[[str], str]:
    """Reads one of the choices, or what is written as `named` says, if there is such."""

    def read(text: str) -> str:
        if text in choices or (named and ":" in text):
            return text
        raise argparse.ArgumentTypeError(
            f"invalid choice: {text!r} (choose from {_listed(choices, named)})"
        )

    return read


def _listed(choices: Collection[str], named: str | None) -> str:
    return ", ".join([*choices, *([f"or {named}"] if named else [])])


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= MAX_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_WORKERS}")


def _bytes(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 2**40:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1 up")


def listen_or_exit(
    address: Address, *, reuse_port: bool = False, write_timeout: float | None = None
) -> socket.socket:
    """A socket listening on `address`, or one line on stderr and exit 1."""
    with explaining(address):
        return listen(address, reuse_port=reuse_port, write_timeout=write_timeout)


def context_or_exit(task: Serve) -> ServerContext | None:
    """What TLS takes, or one line on stderr and exit 1; None where it was not asked for."""
    if task.tls is None:
        return None
    from aionet.tls import server_context  # ssl takes memory

    try:
        return server_context(*task.tls)
    except (OSError, ValueError) as error:
        fail(f"cannot serve TLS: {error}")


def connect_or_exit(host: str, port: int) -> socket.socket:
    """A socket connected to one of the host's addresses, or one line and exit 1."""
    try:
        return socket.create_connection((host, port))
    except (OSError, UnicodeError) as error:
        address = Address("tcp", host, port)
        fail(f"cannot connect to {address}: {error}; is that right, and a server running?")


def open_standard_streams() -> None:
    """Where one was closed (`<&-`), open /dev/null: else a socket would get its number."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(STDOUT, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(STDERR, "w", closefd=False)  # noqa: SIM115


def show(data: bytes) -> None:
    """Write all of `data` to stdout; while the terminal is stopped, so is everything else."""
    try:
        while data:
            data = data[os.write(STDOUT, data) :]
    except OSError as error:
        fail(f"cannot write to stdout: {error.strerror}")


def fail(message: str, status: int = 1) -> NoReturn:
    """Say what is wrong in one line on stderr, and exit."""
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(status)


def announce(addresses: Iterable[Address]) -> None:
    """Tell whoever started us that connecting works from now on, and where.

    Where that cannot be told the process ends at once, whatever runs it: nobody has come yet.
    """
    try:
        sys.stdout.writelines(f"READY {address}\n" for address in addresses)
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"error: cannot say READY on stdout: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(1)


def log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
