"""A process that serves on a loop, and comes to its end whatever the program leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aionet.connections import CANCEL_S
from aionet.loops import loop_factory

if TYPE_CHECKING:
    from aionet.server import Server

log = logging.getLogger("aionet")

T = TypeVar("T")


class Process:
    """As asyncio.Runner, but it does not wait for ever for what a program leaves behind.

    Runner.close() waits for every task, also for one that ignores its cancellation, and for every
    thread of to_thread(). What has not ended soon after `drain` seconds of stopping ends here with
    the process.
    """

    def __init__(self, loop: str, drain: float) -> None:
        self._runner = asyncio.Runner(loop_factory=loop_factory(loop))
        self._drain = drain
        self._deadline = 0.0
        self._serving: asyncio.Task[None] | None = None
        self._cut = False

    async def drain(self, server: Server) -> None:
        """Drain it; what the program has besides must end soon after that."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._drain
        await server.drain()
        # Where the loop is slow a drain ends late, which is no fault of the app.
        loop.call_at(max(self._deadline, loop.time()) + CANCEL_S, self._cancel, server)

    def _cancel(self, server: Server, *, late: bool = False) -> None:
        if self._serving is None or self._serving.done():
            return
        if server.stats.handlers and not late:  # its time for those is over in a moment
            again = partial(self._cancel, server, late=True)
            asyncio.get_running_loop().call_later(CANCEL_S / 2, again)
        else:
            self._cut = True
            self._serving.cancel()

    def serve(self, work: Coroutine[Any, Any, None]) -> int:
        """Run it to its end, or cancel it if it does not end when it should; the exit status."""

        async def serve() -> None:
            self._serving = asyncio.current_task()
            await work

        try:
            self._runner.run(serve())
        except asyncio.CancelledError:
            if not self._cut:
                raise
            limit = self._drain + CANCEL_S
            log.error(
                "the app did not end in %g s, and was cancelled: does it wait for a task, such as "
                "in a TaskGroup, that nobody has told to end after its yield?",
                limit,
            )
            return 1
        return 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def __enter__(self) -> Process:
        """Raises LoopError where there is no loop to run on."""
        self._runner.get_loop()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if left := self._runner.run(self._end()):
            log.error("%s; the process ends without that", left, exc_info=error)
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(AttributeError, ValueError, OSError):
                    stream.flush()
            os._exit(1)
        # The loop closes its end of this before it gives up its signals, and one may come between.
        signal.set_wakeup_fd(-1)
        self._runner.close()

    async def _end(self) -> str:
        """End what still runs; what has not ended then."""
        loop = asyncio.get_running_loop()
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            # One that an exception has cut short, such as KeyboardInterrupt, drains only now.
            limit = CANCEL_S if self._deadline else CANCEL_S + self._drain
            _, tasks = await asyncio.wait(tasks, timeout=limit)
        # Not to be cancelled, or it would wait for the threads after all.
        threads = asyncio.ensure_future(loop.shutdown_default_executor())
        await asyncio.wait([threads], timeout=max(CANCEL_S, self._deadline - loop.time()))
        if tasks:
            return f"tasks that ignore their cancellation: {len(tasks)}"
        return "" if threads.done() else "a thread of to_thread() has not ended"
