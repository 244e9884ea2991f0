"""A coroutine for each connection, which is served through a `Stream`."""

from __future__ import annotations

import asyncio
import dis
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from aionet.connection import Connection
from aionet.core import Hub, State
from aionet.core.failure import let_exits_pass
from aionet.core.layer import Layer
from aionet.limits import CloseReason
from aionet.protocol import Answer, Service
from aionet.protocol.service import is_answer
from aionet.sockets import RECV_SIZE
from aionet.stream import Stream, serving
from aionet.stream_errors import BrokenStreamError
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.connections import Connections
    from aionet.core.tls import TLSHub

TOLD_S = 0.1  # for a task of a handler to tell it that the peer is gone

Handler = Callable[[Stream], Awaitable[None]]


def _tells_only_that_it_broke(error: BaseException, stream: Stream) -> bool:
    """Whether `error` says no more than that `stream` is gone."""
    if isinstance(error, ExceptionGroup):  # of tasks, one of which receives and one sends
        return all(_tells_only_that_it_broke(each, stream) for each in error.exceptions)
    if isinstance(error, BrokenStreamError):
        return error.stream is stream
    return error is stream.handshake_error


def _frames_of(task: asyncio.Task[None]) -> Iterator[FrameType]:
    """The coroutines in which a task waits, from the outermost one to the first generator."""
    coro: Any = task.get_coro()
    while inspect.iscoroutine(coro) and coro.cr_frame is not None:
        yield coro.cr_frame
        coro = coro.cr_await


def _place_of(task: asyncio.Task[None]) -> list[int]:
    return [frame.f_lasti for frame in _frames_of(task)]


def _cancel_if_there(task: asyncio.Task[None], place: list[int]) -> None:
    """Cancel it if it is where it was: nobody told it anything."""
    if not task.done() and _place_of(task) == place:
        task.cancel()


class StreamConnection(Connection):
    """A connection whose peer is served by a coroutine of its own."""

    __slots__ = (
        *("_address", "_cut", "_handlers"),
        *("handshake_error", "stream", "task", "tls_error"),
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.stream = Stream(self, hub.limits.message)
        self.task: asyncio.Task[None] | None = None
        self.handshake_error: OSError | None = None
        self._address: Any = None
        self._cut = False
        self.tls_error: OSError | None = None  # of the handshake, or since; known when it is gone

    @property
    def address(self) -> Any:
        """Known to the end of the handler, which may outlive the connection."""
        return self._address or super().address

    def get_extra_info(self, name: str) -> Any:
        return self.address if name == "peername" else super().get_extra_info(name)

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

    def close(self, reason: CloseReason) -> None:
        self.hub.close(self, reason)
        if self.dirty:
            self.settle()

    def abort(self, reason: CloseReason) -> None:
        self.hub.reset(self, reason)
        if self.dirty:
            self.settle()

    def finish(self) -> None:
        self.hub.finish(self)
        if self.dirty:
            self.settle()

    @property
    def is_gone(self) -> bool:
        return self.state is State.GONE

    def start_tls(self, context: ssl.SSLContext | None, server_hostname: str | None) -> None:
        """Speak TLS from here on. Raises ValueError for what is not known, or not needed."""
        from aionet.core.tls import TLSHub

        if context is not None:
            raise ValueError("start_tls(context) is for a client; a server's is serve(starttls=)")
        if self.door.starttls is None or not isinstance(self.hub, TLSHub):
            raise ValueError("start_tls() needs serve(..., starttls=context)")
        self._secure(self.hub, Layer(self.door.starttls))

    def _secure(self, hub: TLSHub, layer: Layer) -> None:
        self.settle()  # what was said before is not of TLS
        hub.secure(self, layer)
        self.settle()

    # What the hub tells.

    def secured(self) -> None:
        if (extra := self.extra) is not None and extra.tls is not None:
            self.handshake_error = extra.tls.error
        self.stream.secured()

    def writable(self) -> None:
        self.stream.writable()

    def stays(self) -> bool:
        return self.stream.relayed

    def cut(self, finished: bool) -> None:
        self._cut = not finished

    @property
    def is_cut(self) -> bool:
        """Whether its end is that of the server, and not its own."""
        tls = self.extra.tls if self.extra is not None else None
        return self._cut and (tls is None or not tls.ended)

    def gone(self) -> None:
        if (extra := self.extra) is not None and extra.tls is not None:
            self.tls_error = extra.tls.error
        super().gone()
        self._tell_handler()
        self.stream.gone()

    def _tell_handler(self) -> None:
        stream, task = self.stream, self.task
        if task is None:
            stream.broken(self.reason or CloseReason.RESET)
            return
        is_told = any(map(stream.is_waited_for_in, _frames_of(task)))
        another_is_told = stream.is_waited_for
        stream.broken(self.reason or CloseReason.RESET)
        if task.done() or is_told or stream.closed_by_handler or stream.is_over:
            return
        if not self._handlers.cancel or task is asyncio.current_task():
            return
        if another_is_told:  # which may tell the handler, if it is a task of its
            self.connections.loop.call_later(TOLD_S, _cancel_if_there, task, _place_of(task))
        else:
            task.cancel()

    # The handler.

    def begin(self, handlers: Handlers) -> None:
        connections = self.connections
        self._handlers = handlers
        self._address = self.address  # uvloop asks the kernel, which forgets it
        self.hub.places.stay(self)
        self.task = task = connections.loop.create_task(self._run(handlers.handler))
        connections.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.connections.tasks.discard(task)
        self.hub.places.release(self)

    async def _run(self, handler: Handler) -> None:
        stream = self.stream
        reason = CloseReason.ERROR
        serving.set(self)
        try:
            serves: Any = handler(stream)
            if not inspect.isawaitable(serves):
                raise TypeError(f"{handler!r} gave {serves!r}; a handler is an async def")
            if is_answer(given := await serves):
                throttled(
                    logging.ERROR,
                    "the handler of %s gave %s, which goes to nobody: stream.send_all() sends",
                    *(self.address, type(given).__name__),
                )
            reason = CloseReason.DONE
        except asyncio.CancelledError:
            assert self.task is not None
            if self.task.cancelling() or self.state is State.GONE:
                reason = CloseReason.DRAIN if self.hub.draining else CloseReason.DONE
                self.hub.reset(self, reason)  # what it was about to say is cut
            else:
                self._failed()  # it awaited something that was cancelled
        except GeneratorExit:  # a loop that is gone has left it behind
            raise
        except BaseException as error:
            let_exits_pass()
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


def check_stream_handler(handler: Any) -> None:
    """Raises ValueError for what gives nothing that can be awaited, as far as that is known."""
    if inspect.isasyncgenfunction(handler):
        raise ValueError(
            f"{handler!r} has a yield in it: an app needs @contextlib.asynccontextmanager"
        )
    if inspect.isasyncgenfunction(inspect.unwrap(handler)):
        raise ValueError(f"{handler!r} is an app: give it to run(); serve() takes what it yields")
    if inspect.isgeneratorfunction(inspect.unwrap(handler)):
        raise ValueError(f"{handler!r} has a yield in it and is no coroutine function: async def")
    if _returns_nothing(handler):
        raise ValueError(f"{handler!r} returns nothing to await: a handler is an async def")


def _returns_nothing(handler: Any) -> bool:
    """Whether it is a def in which no return has anything, so that it can give no awaitable."""
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    if code is None or inspect.iscoroutinefunction(handler):
        return False
    steps = list(dis.get_instructions(code))
    returns = [
        (before.argval is None and before.opname == "LOAD_CONST" and not step.is_jump_target)
        if step.opname == "RETURN_VALUE"
        else step.argval is None  # RETURN_CONST of Python 3.12
        for before, step in pairwise(steps)
        if step.opname in ("RETURN_VALUE", "RETURN_CONST")
    ]
    return bool(returns) and all(returns)


class Handlers(Service):
    """A coroutine function as a service: each peer has a task, and a stream between the two."""

    def __init__(self, handler: Handler, *, cancel: bool = True) -> None:
        self.handler = handler
        self.cancel = cancel

    def connect(self, peer: StreamConnection) -> Answer:
        peer.begin(self)
        return None

    def receive_data(self, peer: StreamConnection, data: bytes) -> Answer:
        if peer.stream.feed(data) >= RECV_SIZE:
            peer.hub.hold(peer, True)
        return None

    def receive_eof(self, peer: StreamConnection) -> Answer:
        if peer.state is not State.GONE:  # else its stream is broken, which is no end
            peer.stream.feed_eof(cut=peer.is_cut)
        return None


def _why_not_one(handler: Callable[..., Any]) -> str | None:
    """Why it cannot be called with one argument."""
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        return str(error)
    except ValueError:  # nobody knows
        pass
    return None


def shell_of(service: Any, *, cancel: bool = True) -> tuple[Service, type[Connection]]:
    """The service to ask, and what kind of connection it wants.

    Raises ValueError for what is neither a Service nor a handler.
    """
    if inspect.isclass(service):
        name = service.__name__
        raise ValueError(f"{name} is a class: give {name}(), or to run() factory={name}")
    if isinstance(service, Service):
        return service, Connection
    if hasattr(service, "receive_data"):
        raise ValueError(f"{service!r} has receive_data() and is no aionet.Service: derive from it")
    if not callable(service):
        raise ValueError(f"{service!r} is neither a Service nor a handler, a coroutine function")
    if isinstance(service, AbstractAsyncContextManager):
        raise ValueError(f"{service!r} is what an app gave; give the app itself")
    if (why := _why_not_one(service)) is not None:
        raise ValueError(
            f"{service!r} takes no stream; is it a factory=? It cannot be called with a Stream, "
            f"and nothing else: {why}"
        )
    return Handlers(service, cancel=cancel), StreamConnection
