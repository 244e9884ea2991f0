"""A coroutine for each connection, which is served through a `Stream`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from aionet.connection import Connection
from aionet.core import Hub, State
from aionet.limits import CloseReason
from aionet.protocol import Answer, Service
from aionet.sockets import RECV_SIZE
from aionet.stream import BrokenStreamError, Stream
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.connections import Connections

Handler = Callable[[Stream], Awaitable[None]]


def _tells_only_that_it_broke(error: Exception, stream: Stream) -> bool:
    """Whether `error` says no more than that `stream` is gone."""
    if isinstance(error, ExceptionGroup):  # of tasks, one of which receives and one sends
        return all(_tells_only_that_it_broke(each, stream) for each in error.exceptions)
    return isinstance(error, BrokenStreamError) and error.stream is stream


class StreamConnection(Connection):
    """A connection whose peer is served by a coroutine of its own."""

    __slots__ = ("_address", "stream", "task")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._address: Any = None
        self.stream = Stream(self, hub.limits.message)
        self.task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Any:
        """Also when the connection is gone, of which a handler may still be told."""
        return super().address if self._address is None else self._address

    @property
    def connections(self) -> Connections:
        return cast("Connections", self.hub.shell)

    # What the stream wants.

    @property
    def is_full(self) -> bool:
        extra = self.extra
        return extra is not None and extra.unsent > 0 and self.hub.is_full(self)

    def listen(self) -> None:
        """The handler has taken what there was, or needs more than that."""
        if self.extra is not None and self.extra.held:
            self.hub.hold(self, False)

    def expect(self, line: int | None) -> None:
        """The handler waits for the rest of that line."""
        if line is not None or self.extra is not None:
            self.hub.talk.expect(self, line)

    def close(self, reason: CloseReason) -> None:
        self.hub.close(self, reason)
        if self.dirty:
            self.settle()

    # What the hub tells.

    def writable(self) -> None:
        self.stream.writable()

    def gone(self) -> None:
        super().gone()
        stream, task = self.stream, self.task
        listens = stream.waits
        stream.broken(self.reason or CloseReason.RESET)
        if task is None or task.done() or stream.closed or listens:
            return
        service = cast(Handlers, self.hub.service)
        if service.cancel and task is not asyncio.current_task():
            task.cancel()

    # The handler.

    def begin(self, handler: Handler) -> None:
        connections = self.connections
        self._address = self.address
        self.hub.places.stay(self)
        self.task = task = connections.loop.create_task(self._run(handler))
        connections.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.connections.tasks.discard(task)
        self.hub.places.release(self)

    async def _run(self, handler: Handler) -> None:
        stream = self.stream
        reason = CloseReason.ERROR
        try:
            await handler(stream)
            reason = CloseReason.DONE
        except asyncio.CancelledError:
            assert self.task is not None
            if self.task.cancelling() or self.state is State.GONE:
                reason = CloseReason.DRAIN if self.hub.draining else CloseReason.DONE
                self.hub.reset(self, reason)  # what it was about to say is cut
            else:
                self._failed()  # it awaited something that was cancelled
        except Exception as error:
            if not _tells_only_that_it_broke(error, stream):
                self._failed()
            reason = CloseReason.DONE
        finally:
            if reason is CloseReason.DONE:
                stream.close()
            else:
                self.hub.reset(self, reason)

    def _failed(self) -> None:
        end = "its connection had ended already" if self.closing else "the connection is reset"
        throttled(logging.ERROR, "the handler of %s failed; " + end, self.address, traceback=True)
        self.hub.reset(self, CloseReason.ERROR)


class Handlers(Service):
    """A coroutine function as a service: each peer has a task, and a stream between the two."""

    def __init__(self, handler: Handler, *, cancel: bool = True) -> None:
        self.handler = handler
        self.cancel = cancel

    def connect(self, peer: StreamConnection) -> Answer:
        peer.begin(self.handler)
        return None

    def receive_data(self, peer: StreamConnection, data: bytes) -> Answer:
        if peer.stream.feed(data) >= RECV_SIZE:
            peer.hub.hold(peer, True)
        return None

    def receive_eof(self, peer: StreamConnection) -> Answer:
        if peer.state is not State.GONE:  # else its stream is broken, which is no end
            peer.stream.feed_eof()
        return None


def _takes_one(handler: Callable[..., Any]) -> bool:
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        return False
    except ValueError:  # nobody knows
        pass
    return True


def shell_of(service: Any, *, cancel: bool = True) -> tuple[Service, type[Connection]]:
    """The service to ask, and what kind of connection it wants.

    Raises ValueError for what is neither a Service nor a handler.
    """
    if inspect.isclass(service):
        raise ValueError(f"{service.__name__} is a class: give {service.__name__}(), or factory=")
    if isinstance(service, Service):
        return service, Connection
    if hasattr(service, "receive_data"):
        raise ValueError(f"{service!r} has receive_data() and is no aionet.Service: derive from it")
    if not callable(service):
        raise ValueError(f"{service!r} is neither a Service nor a handler, a coroutine function")
    if not _takes_one(service):
        raise ValueError(f"{service!r} takes no stream; is it a factory=?")
    return Handlers(service, cancel=cancel), StreamConnection
