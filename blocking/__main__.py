"""python -m blocking serve {echo|udp-echo|chat} --model {blocking|threaded|epoll}"""

from __future__ import annotations

import sys
from importlib import import_module

from aionet.command import Chat, announce, listen_or_exit, log_to_stderr, parse
from aionet.signals import stop_on_signals
from aionet.sockets import address_of

MODULES = {"blocking": "sequential", "threaded": "threaded", "epoll": "epoll"}
# What correctness needs. Idle clients, TLS and the like are for servers that face the world.
SETTINGS = (
    "connections",
    "on_full",
    "message",
    "write_buffer",
    "outbox",
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
        option_help="one client at a time, a thread each, or one thread with epoll",
        settings=SETTINGS,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        from blocking.client import chat

        raise SystemExit(chat(task.host, task.port, task.name))
    module = import_module(f"blocking.{MODULES[task.option]}")
    kind = module.DatagramServer if task.datagrams else module.StreamServer
    (address,) = task.addresses
    sock = listen_or_exit(address, write_timeout=task.timeouts.write)
    server = kind(sock, task.make_service(), task.limits, task.timeouts)
    with stop_on_signals(server.drain, server.abort, task.timeouts.drain):
        announce([address_of(sock)])
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
