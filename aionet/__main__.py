"""python -m aionet serve {echo|udp-echo|chat|MODULE:OBJECT} --loop {asyncio|uvloop|...}"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from aionet.app import loading
from aionet.command import (
    USAGE,
    Chat,
    Serve,
    announce,
    context_or_exit,
    fail,
    log_to_stderr,
    parse,
)
from aionet.loops import LOOPS, LoopError, loop_factory
from aionet.place import Listen
from aionet.runner import Opened, run_on


def main(argv: list[str]) -> None:
    task = parse(
        "aionet",
        argv,
        option="loop",
        choices=list(LOOPS),
        option_help="the event loop",
        named="MODULE:FACTORY",
    )
    log_to_stderr()
    if isinstance(task, Chat):
        from aionet.cli.chat import chat

        raise SystemExit(asyncio.run(chat(task.host, task.port, task.name)))
    task.refuse_useless()
    raise SystemExit(serve(task))


def serve(task: Serve) -> int:
    try:
        loop_factory(task.option)
    except ImportError as error:
        fail(str(error))
    except ValueError as error:
        fail(str(error), status=USAGE)
    tls = context_or_exit(task)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(Opened(task.workers, task.timeouts.write))
        for address in task.addresses:
            opened.add(Listen(address, tls=tls if address.scheme != "udp" else None))
        try:
            return run_on(
                loading(task.service) if task.is_app else task.make_service,
                opened,
                task.option,
                announce,
                limits=task.limits,
                timeouts=task.timeouts,
                supervised=task.is_app,
            )
        except LoopError as error:
            fail(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
