"""python -m blocking serve {echo|udp-echo|chat} --model {blocking|threaded|epoll|...}"""

from __future__ import annotations

import contextlib
import socket
import sys
from functools import partial
from importlib import import_module
from typing import Any

from aionet.command import Chat, Serve, announce, fail, listen_or_exit, log_to_stderr, parse
from aionet.signals import stop_on_signals
from aionet.sockets import address_of

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
# TLS and the like are for servers that face the world.
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
    )
    log_to_stderr()
    if isinstance(task, Chat):
        from blocking.client import chat

        raise SystemExit(chat(task.host, task.port, task.name))
    if task.service == "chat" and task.option in NO_CHAT:
        fail(f"{task.option} cannot serve chat: members in different processes would never meet")
    if task.datagrams and task.option in NO_DATAGRAMS:
        fail(f"{task.option} cannot serve udp-echo: there are no connections to hand out")
    raise SystemExit(serve(task))


def serve(task: Serve) -> int:
    module = import_module(f"blocking.{MODULES[task.option]}")
    kind = module.DatagramServer if task.datagrams else module.StreamServer

    def make_server(sock: socket.socket) -> Any:
        return kind(sock, task.make_service(), task.limits, task.timeouts)

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


if __name__ == "__main__":
    main(sys.argv[1:])
