"""python -m blocking serve {echo|udp-echo|chat} --model {blocking|threaded|epoll|...}

And the clients: chat, send and receive.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import socket
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aionet.address import Address
from aionet.command import (
    Chat,
    Serve,
    announce,
    context_or_exit,
    fail,
    listen_or_exit,
    log_to_stderr,
    parse,
)
from aionet.signals import stop_on_signals
from aionet.sockets import address_of

if TYPE_CHECKING:
    from aionet.command import Commands

# The module of each model; those of PREFORK serve with several processes of it.
MODULES = {
    "blocking": "sequential",
    "threaded": "threaded",
    "threadpool": "threadpool",
    "fork": "fork",
    "prefork": "sequential",
    "prefork-reuseport": "sequential",
    "select": "on_select",
    "poll": "on_poll",
    "epoll": "on_epoll",
    "epoll-et": "on_epoll_et",
    "coroutines": "coroutines",
}
PREFORK = ("prefork", "prefork-reuseport")
NO_CHAT = ("fork", *PREFORK)
NO_DATAGRAMS = ("fork", "threadpool", "coroutines")
# Who serves one connection at a time does not turn anybody away, and has nobody to talk to another.
ALONE = ("blocking", *PREFORK)
NOT_ALONE = ("connections", "per_peer", "on_full", "outbox")
# What is not here, such as rates of newcomers, is for servers that face the world.
SETTINGS = (
    "connections",
    "per_peer",
    "on_full",
    "message",
    "write_buffer",
    "outbox",
    "min_rate",
    "idle",
    "message_timeout",
    "half_closed",
    "handshake",
    "write",
    "drain",
    "linger",
)


def main(argv: list[str]) -> None:
    task = parse(
        "blocking",
        argv,
        option="model",
        choices=list(MODULES),
        option_help="how it waits for its clients",
        settings=SETTINGS,
        more=_add_clients,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        from blocking.client import chat

        raise SystemExit(chat(task.host, task.port, task.name))
    if task.service == "chat" and task.option in NO_CHAT:
        fail(f"{task.option} cannot serve chat: members in different processes would never meet")
    if task.datagrams and task.option in NO_DATAGRAMS:
        fail(f"{task.option} cannot serve udp-echo: there are no connections to hand out")
    if task.option in ALONE and not task.datagrams:
        who = "each of its processes" if task.option in PREFORK else "it"
        task.refuse_useless(NOT_ALONE, f"{who} serves one connection at a time, others wait")
    task.refuse_useless()
    raise SystemExit(serve(task))


def serve(task: Serve) -> int:
    if task.talk is not None:
        if task.service != "chat" or task.option != "epoll":
            fail("--talk is for serve chat --model epoll, which can wait for a keyboard, too")
        from aionet.cli.chat_client import check_name
        from blocking.keyboard import can_be_waited_for

        if not can_be_waited_for():
            fail("--talk needs a terminal or a pipe: epoll cannot wait for a file (EPERM)")
        try:
            check_name(task.talk)
        except ValueError as error:
            fail(str(error))
    module = import_module(f"blocking.{'keyboard' if task.talk else MODULES[task.option]}")
    tls = [context] if (context := context_or_exit(task)) else []  # datagrams know of none
    kind = module.DatagramServer if task.datagrams else module.StreamServer

    def make_server(sock: socket.socket) -> Any:
        return kind(sock, task.make_service(), task.limits, task.timeouts, *tls)

    if task.talk:
        kind.name = task.talk
    (address,) = task.addresses
    own_sockets = task.option == "prefork-reuseport"
    listen = partial(listen_or_exit, reuse_port=own_sockets, write_timeout=task.timeouts.write)
    sock = listen(address)
    address = address_of(sock)
    if task.option in PREFORK:
        from blocking.prefork import PROCESSES, run

        sockets = [sock, *(listen(address) for _ in range(own_sockets * (PROCESSES - 1)))]
        with contextlib.ExitStack() as opened:
            for each in sockets:
                opened.enter_context(each)
            return run(make_server, sockets, task.timeouts, lambda: announce([address]))
    server = make_server(sock)
    with stop_on_signals(server.drain, server.abort, task.timeouts.drain):
        announce([address])
        server.serve_forever()
    return 0


# The clients.


def _add_clients(commands: Commands) -> None:
    send = commands.add_parser(
        "send",
        help="send stdin or a file to a server, and show what it answers",
        description="tcp: send all, half-close, and read until the server closes. udp: each line "
        "is a datagram, sent again until there is an answer.",
        allow_abbrev=False,
    )
    send.add_argument("address", metavar="tcp://HOST:PORT or udp://HOST:PORT")
    send.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: -, stdin")
    send.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="udp: for an answer, at first (default: 1); tcp: of silence at the end (default: 10)",
    )
    send.add_argument(
        "--connect-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="tcp: for the server to answer at all (default: 10)",
    )
    send.add_argument(
        "--retries", type=_number, metavar="N", help="udp: sendings after the first (default: 3)"
    )
    send.add_argument(
        "--echo", action="store_true", help="udp: only what was asked counts as its answer"
    )
    send.add_argument("--broadcast", action="store_true", help="udp: to all, who may all answer")
    send.add_argument("--interface", metavar="NAME", help="udp: to a group (default: loopback)")
    send.set_defaults(run=_send, parser=send)

    receive = commands.add_parser(
        "receive",
        help="show the datagrams that come",
        description="Of a group, 224.0.0.0/4 or ff00::/8, it becomes a member. Ctrl-C ends it.",
        allow_abbrev=False,
    )
    receive.add_argument("address", metavar="udp://HOST:PORT")
    receive.add_argument("--count", type=_number, metavar="N", help="end after so many")
    receive.add_argument(
        "--interface", metavar="NAME", help="where to join a group (default: loopback)"
    )
    receive.set_defaults(run=_receive, parser=receive)


def _send(args: argparse.Namespace) -> int:
    address = _address(args, ("tcp", "udp"))
    if address.scheme == "tcp" and (
        args.retries is not None or args.echo or args.broadcast or args.interface
    ):
        args.parser.error("--retries, --echo, --broadcast and --interface are for udp://")
    try:
        source = 0 if args.file == "-" else os.open(args.file, os.O_RDONLY | os.O_CLOEXEC)
        os.read(source, 0)  # EISDIR
    except OSError as error:
        fail(f"cannot read {args.file!r}: {error.strerror}")
    if address.scheme == "tcp":
        from blocking.connecting import CONNECT_S
        from blocking.send import send

        patience, within = args.timeout or 10.0, args.connect_timeout or CONNECT_S
        return send(address.host, address.port, source, patience, within)
    if args.connect_timeout is not None:
        args.parser.error("--connect-timeout is for tcp://")
    from blocking import send_datagrams

    return send_datagrams.send(
        address.host,
        address.port,
        source,
        args.timeout or 1.0,
        3 if args.retries is None else args.retries,
        echo=args.echo,
        broadcast=args.broadcast,
        interface=args.interface or send_datagrams.LOOPBACK,
    )


def _receive(args: argparse.Namespace) -> int:
    from blocking import send_datagrams

    address = _address(args, ("udp",))
    interface = args.interface or send_datagrams.LOOPBACK
    return send_datagrams.receive(address.host, address.port, args.count, interface)


def _address(args: argparse.Namespace, schemes: tuple[str, ...]) -> Address:
    try:
        address = Address.parse(args.address)
    except ValueError as error:
        args.parser.error(str(error))
    if address.scheme not in schemes:
        known = " or ".join(f"{each}://HOST:PORT" for each in schemes)
        args.parser.error(f"{args.address} cannot be; use {known}")
    return replace(address, host=address.host or "127.0.0.1")


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 2**31 - 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 < seconds <= 86400:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to 86400")


if __name__ == "__main__":
    main(sys.argv[1:])
