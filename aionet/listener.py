"""Accepting that can be paused, on loops that offer no such thing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aionet.descriptors import descriptor_reserve, descriptors_are_short, warn_cannot_accept
from aionet.listen import BACKLOG
from aionet.loops import LoopError
from aionet.sockets import BURST, set_nodelay, waiting_to_be_accepted
from aionet.unix_path import remove_unix_path

ACCEPTING = 3  # turns of the loop, until who was accepted in one is there


class Listener:
    """One listening socket. The loop is given a duplicate of it, and loses that to pause.

    The socket itself stays open, and with it the kernel's backlog, in which newcomers wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        connection: Callable[[], asyncio.Protocol],
        backlog: int = BACKLOG,
    ) -> None:
        self.sock = sock
        self._backlog = backlog
        self._loop = loop
        self._connection = connection
        self._server: asyncio.AbstractServer | None = None
        self._duplicate: socket.socket | None = None

    def resume(self) -> None:
        """Accept. Raises OSError where there is no descriptor left for that."""
        if self._server is not None:
            return
        # asyncio accepts up to `backlog` times in a row, so this says how many; the kernel's
        # backlog is then set to what it should be. It has accepted twice as many before the first
        # of them comes to look at descriptors. Were accept() to find none, asyncio would log that
        # for each that it tries, and libuv close the newcomers without a word.
        burst = max(1, min(BURST, descriptor_reserve() // 8))
        self._duplicate = duplicate = self.sock.dup()
        create: Any = self._loop.create_server
        if duplicate.family == socket.AF_UNIX:
            create = self._loop.create_unix_server
            if sys.version_info >= (3, 13):
                create = partial(create, cleanup_socket=False)  # it would take the path to pause
        try:
            opening = create(self._connection, sock=duplicate, backlog=burst)
            self._server = _run_now(opening, self._loop)
        except BaseException:
            duplicate.close()
            raise
        self.sock.listen(self._backlog)

    def pause(self) -> None:
        """Accept no more. Who was accepted in this turn of the loop may still come."""
        if self._server is None or self._duplicate is None:
            return
        # asyncio makes a connection of who was accepted in this turn in the next but one, and
        # loses it if its server is closed before. So: first no more readiness, then close.
        self._loop.remove_reader(self._duplicate.fileno())
        close = self._server.close
        self._loop.call_soon(self._loop.call_soon, close)
        self._server = self._duplicate = None

    async def accept_pending(self) -> None:
        """Accept those who are connected already, and wait for an accept.

        As many as there are now: who comes all the time must not keep the server from ending.
        """
        waiting = BACKLOG
        if self.sock.family != socket.AF_UNIX:
            waiting = waiting_to_be_accepted(self.sock)
        for _ in range(waiting):
            try:
                conn, _ = self.sock.accept()
            except OSError:  # there is nobody, or no descriptor for them
                return
            conn.setblocking(False)
            if conn.family != socket.AF_UNIX:
                set_nodelay(conn)
            with contextlib.suppress(OSError):
                await self._loop.connect_accepted_socket(self._connection, conn)

    def close(self) -> None:
        """Accept no more, and refuse who connects; closes the socket."""
        self.pause()
        remove_unix_path(self.sock)
        self.sock.close()


def _run_now(
    opening: Awaitable[asyncio.AbstractServer], loop: asyncio.AbstractEventLoop
) -> asyncio.AbstractServer:
    """The result of a coroutine that has nothing to wait for; raises LoopError if it has.

    With a socket that is bound already, `create_server` at most lets others go first. Here
    that would leave the backlog that low for a turn of the loop, and drop who comes then.
    """
    turns: Any = opening.__await__()
    while True:
        try:
            waits = next(turns)
        except StopIteration as done:
            server: asyncio.AbstractServer = done.value
            return server
        if waits is not None:
            waits.cancel()
            kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
            raise LoopError(f"cannot serve on {kind}: its create_server() waits for the loop")


class Gate:
    """Whether a server's listeners accept: they do while nobody holds the gate.

    Who holds it has a name, so that a server that is full *and* was told to pause needs both
    to be over before it accepts again.
    """

    FULL = "full"
    ASKED = "asked"
    DESCRIPTORS = "descriptors"

    def __init__(self) -> None:
        self.out_of_descriptors = 0
        self._listeners: list[Listener] = []
        self._holds: set[str] = set()
        self._closed = False

    @property
    def open(self) -> bool:
        return not self._holds and not self._closed

    def add(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.resume()

    def hold(self, why: str) -> None:
        if self.open:
            for listener in self._listeners:
                listener.pause()
        self._holds.add(why)

    def release(self, why: str) -> None:
        if why not in self._holds:
            return
        self._holds.remove(why)
        if not self.open:
            return
        try:
            for listener in self._listeners:
                listener.resume()
        except OSError:
            self.hold(self.DESCRIPTORS)

    def close(self) -> None:
        self._closed = True
        for listener in self._listeners:
            listener.close()

    async def close_politely(self) -> None:
        """Let those in who were connected before this, and nobody after them.

        Also where the server is full: they wait for places as long as the drain lasts.
        """
        accepting = self.ASKED not in self._holds and not self._closed
        self.hold(self.ASKED)
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)
        if accepting:
            for listener in self._listeners:
                await listener.accept_pending()
        self.close()

    # Descriptors.

    def look_at_descriptors(self) -> None:
        """Hold the gate when they run short, and let it go when there are some again."""
        if self._closed or not self._listeners or not (self.open or self.is_short):
            return  # who accepts nobody takes none
        # A listener gives its duplicate back to pause, and will need it to resume.
        beside = 0 if self.open else len(self._listeners)
        short = descriptors_are_short(self._listeners[0].sock.fileno(), beside)
        if short and self.DESCRIPTORS not in self._holds:
            self.hold(self.DESCRIPTORS)
            self.out_of_descriptors += 1
            warn_cannot_accept(
                "cannot accept: %d descriptors are nearly used up (ulimit -n); newcomers wait",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )
        elif not short:
            self.release(self.DESCRIPTORS)

    @property
    def is_short(self) -> bool:
        return self.DESCRIPTORS in self._holds
