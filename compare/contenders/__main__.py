"""python -m compare.contenders serve {echo|udp-echo|chat} --framework {gevent|tornado|...}

The listening socket is made here, with the options that all models have; a framework gets it and
does the rest.
"""

from __future__ import annotations

import sys
from importlib import import_module

from aionet.command import (
    Chat,
    announce,
    context_or_exit,
    fail,
    listen_or_exit,
    log_to_stderr,
    parse,
)
from aionet.sockets import address_of, set_nodelay
from compare.contenders import SETTINGS, check

FRAMEWORKS = ("anyio", "gevent", "rloop", "tornado", "trio", "twisted")
NO_DATAGRAMS = ("tornado",)
NO_TLS = {
    "anyio": "is served here without TLS",
    "rloop": "0.5 has no TLS: its create_server(ssl=...) is not implemented",
    "twisted": "is served here without TLS, for which it needs pyOpenSSL",
}


def main(argv: list[str]) -> None:
    task = parse(
        "compare.contenders",
        argv,
        option="framework",
        choices=list(FRAMEWORKS),
        option_help="what serves",
        settings=SETTINGS,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        fail("there is one client for all: python -m aionet chat")
    if task.datagrams and task.option in NO_DATAGRAMS:
        fail(f"{task.option} has nothing for datagrams")
    if task.close_after is not None:
        fail(f"{task.option} cannot be told to close first")
    if task.tls and task.option in NO_TLS:
        fail(f"{task.option} {NO_TLS[task.option]}")
    check(task)
    try:
        framework = import_module(f"compare.contenders.on_{task.option}")
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed: pip install {error.name}")
    tls = context_or_exit(task)
    sock = listen_or_exit(task.addresses[0], write_timeout=task.timeouts.write)
    if not task.datagrams:
        set_nodelay(sock)  # accept(2) hands it on
    address = address_of(sock)
    framework.serve(task, sock, lambda: announce([address]), tls)


if __name__ == "__main__":
    main(sys.argv[1:])
