"""python -m blocking serve {echo|udp-echo|chat} --model {blocking|threaded|epoll}"""

from __future__ import annotations

import sys
from importlib import import_module

from aionet.command import (
    SERVICES,
    Chat,
    announce,
    listen_or_exit,
    log_to_stderr,
    parse,
)
from aionet.signals import stop_on_signals

MODULES = {"blocking": "sequential", "threaded": "threaded", "epoll": "epoll"}


def main(argv: list[str]) -> None:
    task = parse(
        "blocking",
        argv,
        option="model",
        choices=list(MODULES),
        option_help="one client at a time, a thread each, or one thread with epoll",
    )
    log_to_stderr()
    if isinstance(task, Chat):
        from blocking.client import chat

        raise SystemExit(chat(task.host, task.port, task.name))
    module = import_module(f"blocking.{MODULES[task.option]}")
    kind = module.DatagramServer if task.datagrams else module.StreamServer
    sock = listen_or_exit(task.address)
    server = kind(sock, SERVICES[task.service](), task.limits, task.timeouts)
    with stop_on_signals(server.drain, server.abort, task.timeouts.drain):
        announce(sock)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
