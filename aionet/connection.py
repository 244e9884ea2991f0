"""A peer on a transport of asyncio or uvloop: read, give it to the hub, write what that says."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aionet.core import Peer, State, Todo
from aionet.core.layer import Layer
from aionet.sockets import borrowed, has_finished, set_reset_on_close, stop_reading

if TYPE_CHECKING:
    from aionet.connections import Connections
    from aionet.door import Door

log = logging.getLogger("aionet")

_OPEN = State.OPEN


def has_gone(transport: asyncio.BaseTransport, address: Any) -> bool:
    """Whether the peer of this address has gone: uvloop asks the kernel, which forgets it then.

    On unix sockets nobody has an address that means anything.
    """
    if address is not None:
        return False
    sock = transport.get_extra_info("socket")
    return sock is None or sock.family != socket.AF_UNIX


class Connection(Peer, asyncio.Protocol):
    """One connection. What the kernel does not take waits in the transport's buffer."""

    __slots__ = ("_transport",)

    _transport: asyncio.Transport
    door: ClassVar[Door]  # of each that a server accepts

    @property
    def address(self) -> Any:
        return self._info("peername")

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket"; over TLS "ssl_object", ..."""
        tls = self.extra.tls if self.extra is not None else None
        if tls is not None and tls.ready:
            if name == "ssl_object":
                return tls.object
            if name == "sslcontext":
                return tls.object.context
            if name == "peercert":
                return tls.certificate
            if name in ("cipher", "compression"):
                return getattr(tls.object, name)()
        return self._info(name)

    def layer(self) -> Layer | None:
        tls = self.door.tls
        return None if tls is None else Layer(tls)

    def _info(self, name: str) -> Any:
        try:
            return self._transport.get_extra_info(name)
        except (AttributeError, ValueError):  # uvloop, which has no socket any more to ask
            return None

    def is_unknown(self) -> bool:
        return has_gone(self._transport, self.address)

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        connections: Connections = self.hub.shell  # type: ignore[assignment]
        if connections.write_buffer is not None:
            self._transport.set_write_buffer_limits(high=connections.write_buffer)
        hub = self.hub
        hub.admit(self)
        if hub.now != connections.looked or hub.accepted >= connections.look_at:
            connections.look_at_descriptors()
        if self.dirty:
            self.settle()

    def data_received(self, data: bytes) -> None:
        if out := self.hub.receive_data(self, data):
            self._transport.write(out)
        if self.dirty:
            self.settle()

    def eof_received(self) -> bool:
        self.hub.receive_eof(self)
        if self.dirty:
            self.settle()
        # When to close is not the loop's affair. Where it is done, to keep it open costs asyncio an
        # exception, for it looks for a reader that is gone.
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """The transport's buffer is over its limit."""
        # Of what is below the lower limit nobody would be told when it has gone.
        self._transport.set_write_buffer_limits(high=self.hub.limits.write_buffer, low=0)
        self._go_on()

    def resume_writing(self) -> None:
        """The transport's buffer is empty again."""
        self.hub.sent(self, self._transport.get_write_buffer_size())
        if self.dirty:
            # Not now: asyncio would do a second time what is done to an empty transport within this
            # call, for it looks only afterwards whether that is to be closed, or to be shut down.
            cast("Connections", self.hub.shell).loop.call_soon(self.settle)

    def _go_on(self) -> None:
        self.hub.sent(self, self._transport.get_write_buffer_size())
        if self.dirty:
            self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.lost(self, exc)

    def gone(self) -> None:
        if not self.hub.open:
            cast("Connections", self.hub.shell).left()

    # What the hub wants.

    def settle(self) -> None:
        """Write what there is, do what is to be done, and read on or not."""
        transport = self._transport
        if self.extra is None and self.todo is None and self.state is _OPEN:
            # Nothing was ever in its way.
            self.dirty = False
            if self.outbox:
                transport.write(self.hub.take(self))
        while self.dirty:
            self.dirty = False
            if (self.outbox or self.extra is not None) and (data := self.hub.take(self)):
                transport.write(data)
            if (extra := self.extra) is not None:
                if extra.rest is not None:  # after others have had their turn
                    cast("Connections", self.hub.shell).loop.call_soon(self._go_on)
                elif extra.unsent:
                    self.hub.sent(self, transport.get_write_buffer_size())
            if self.dirty:
                continue
            if self.todo is not None and (todo := self.pop_todo()) is not None:
                if todo is Todo.CLOSE:
                    transport.close()
                    return
                self._do(todo)
            if transport.is_closing():
                continue  # connection_lost() is on its way, or was here
            if self.reads:
                if not transport.is_reading():
                    transport.resume_reading()
            elif self.state is not State.FLUSHING and self.state is not State.GONE:
                if not transport.is_reading():
                    # CPython 3.11.2 undoes a pause in connection_made(), and takes it for one.
                    transport.resume_reading()
                transport.pause_reading()

    def _do(self, todo: str) -> None:
        transport = self._transport
        if todo is Todo.SHUT_WR:
            if transport.is_closing():
                return
            try:
                transport.write_eof()
            except OSError:  # it is gone, and connection_lost() is on its way
                transport.abort()
        elif todo is Todo.RESET:
            sock = transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:  # else the loop has closed it
                try:
                    set_reset_on_close(sock)
                except OSError:
                    log.debug("the peer was gone before it could be reset")
            transport.abort()
        elif (descriptor := self._descriptor()) >= 0:
            self.cut(has_finished(descriptor))
            with borrowed(transport.get_extra_info("socket")) as sock:
                stop_reading(sock)
        elif not transport.is_closing():  # in memory: what was sent has come
            self.cut(self.extra is not None and self.extra.ended)
            self.eof_received()

    def cut(self, finished: bool) -> None:
        """What it sends from now on is not heard; whether it had `finished` sending before."""

    def send(self, data: bytes) -> bool:
        """Send it though nobody has spoken; False if it cannot come there any more."""
        if self._transport.is_closing():
            return False
        self.hub.send(self, data)
        if self.dirty:
            self.settle()
        return True

    @property
    def pending(self) -> int:
        """Bytes that wait for it here, as the kernel does not take them."""
        return self.waiting + self._transport.get_write_buffer_size()

    def unacked(self) -> int:
        unsent = self._transport.get_write_buffer_size()
        if (descriptor := self._descriptor()) >= 0:
            answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")  # tcp(7)
            unsent += struct.unpack("i", answer)[0]
        return unsent

    def _descriptor(self) -> int:
        sock = self._transport.get_extra_info("socket")
        return -1 if sock is None or self._transport.is_closing() else int(sock.fileno())
