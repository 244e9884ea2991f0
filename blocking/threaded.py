"""A thread for each connection, and a lock around what they share.

Every thread reads as the one-at-a-time server does, so a slow client delays only its own
thread. The price is memory for a stack each, switches between them, and two kinds of locks:

- `lock`, of the server, is held for a call of the hub and no longer: without it two threads would
  change the room at once. It is never held while sending: one member who does not read would stop
  everybody.
- `sending`, of each connection, is held from taking what there is for it until the kernel has
  that: without it two threads could send one peer's lines in the wrong order. Its own thread waits
  for it. Others only try: who holds it looks once more when it has let go, so nothing is forgotten.

Who needs both takes `sending` first. And whoever has called the hub sees afterwards to all who are
dirty: a peer is so from before somebody tries for its `sending`, and whoever has that asks again
after letting go.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from aionet.core import Hub, State, Todo, hub_class
from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import (
    ACCEPT_RETRY_S,
    RECV_SIZE,
    AcceptPaused,
    accept,
    waiting_to_be_accepted,
)
from aionet.throttle import throttled
from blocking import connection
from blocking.datagram import ThreadedDatagramServer as DatagramServer
from blocking.wakeup import Wakeup

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["DatagramServer", "StreamServer"]

LOOK_S = 0.1  # between two looks of a thread that waits for its peer to read


class Connection(connection.Connection):
    """A blocking socket, whose buffer is empty unless somebody holds `sending`."""

    __slots__ = ("ident", "sending")

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        super().__init__(hub, sock)
        self.sending = threading.Lock()
        self.ident = 0  # of the thread that serves it
        connection.set_wait(sock, socket.SO_SNDTIMEO, LOOK_S)


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a thread of its own."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        self.tls = tls
        listener.setblocking(False)
        self._listener = listener
        self._lock = threading.Lock()
        self._wakeup = Wakeup()
        self._accepting = True
        self._draining = self._aborted = False
        self._unclosed = 0  # sockets
        places = self._places(limits)
        hub = hub_class(tls is not None)
        self._hub = hub(service, limits, timeouts, self, places=places, now=time.monotonic())

    def _places(self, limits: Limits) -> int:
        return limits.connections or descriptor_room()

    # What the main thread does.

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener, contextlib.closing(self._wakeup):
            while not self._is_over():
                delay = self._tick()
                watched = [self._wakeup, self._listener] if self._accepting else [self._wakeup]
                readable = _wait(watched, delay)
                if self._wakeup in readable:
                    self._wakeup.clear()
                if self._listener in readable:
                    self._accept()

    def _is_over(self) -> bool:
        with self._lock:
            return self._hub.draining and not self._unclosed

    def _accept(self) -> None:
        """Accept one, and have it served."""
        try:
            sock = accept(self._listener)
        except BlockingIOError:
            return
        except AcceptPaused as error:
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            if not self._draining:
                time.sleep(ACCEPT_RETRY_S)
            return
        conn = Connection(self._hub, sock)
        with self._lock:
            self._unclosed += 1
            self._hub.admit(conn)
        if conn.state is State.GONE:  # turned away
            self._finish(conn)
        else:
            self._start(conn)

    def _start(self, conn: Connection) -> None:
        if not self._start_thread(self._serve, conn):
            self._finish(conn)

    def _start_thread(self, target: Callable[..., None], conn: Connection, *more: object) -> bool:
        """Without a thread for it, a connection is reset."""
        try:
            threading.Thread(target=target, args=(conn, *more), daemon=True).start()
        except RuntimeError as error:
            throttled(logging.WARNING, "%s; the connection is reset", error)
            with self._lock:
                self._hub.reset(conn, CloseReason.REJECTED)
            return False
        return True

    def _tick(self) -> float:
        if self._draining and not self._hub.draining:
            for _ in range(waiting_to_be_accepted(self._listener)):  # who was connected before
                self._accept()
            with self._lock:
                self._hub.drain()
                self._accepting = False
            self._listener.close()
        with self._lock:
            if self._aborted:
                self._hub.end()
            delay = self._hub.tick(time.monotonic())
        self._see_to_others()
        return delay

    # What the thread of a connection does.

    def _serve(self, conn: Connection) -> None:
        """Serve one connection to its end."""
        conn.ident = threading.get_ident()
        self._see_to(conn)
        while conn.state is not State.GONE:
            try:
                if not conn.reads:
                    self._wait_without_reading(conn)
                else:
                    data = conn.sock.recv(RECV_SIZE)
                    with conn.sending:
                        self._tell(conn, data)
            except OSError as error:  # a reset ends its own conversation and nothing else
                self._lose(conn, error)
            if conn.dirty or self._hub.dirty:
                self._see_to(conn)
        self._finish(conn)

    def _tell(self, conn: Connection, data: bytes) -> None:
        """Tell the hub what came, and send its answer; `sending` is held."""
        with self._lock:
            if data:
                out = self._hub.receive_data(conn, data)
            else:
                out = b""
                self._hub.receive_eof(conn)
        if self._hub.dirty:  # whoever is told of it need not wait until this one reads
            self._see_to_those_now()
        conn.buffer = out
        self._send(conn)

    def _wait_without_reading(self, conn: Connection) -> None:
        """Until there may be something to read for. Raises OSError when the peer has hung up."""
        poll = select.poll()
        poll.register(conn.sock, 0)  # for POLLHUP and POLLERR, which come unasked
        if poll.poll(LOOK_S * 1000) and not conn.reads:
            number = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            raise OSError(number, "hung up")

    def _see_to(self, conn: Connection) -> None:
        """Send what else there is for `conn`, do what is to be done, and see to the others."""
        self._see_to_others()
        while conn.dirty:
            with conn.sending:
                self._take(conn)
                self._send(conn)
                self._do(conn)
            self._see_to_others()

    def _finish(self, conn: Connection) -> None:
        """Close what is gone, when nobody is in send() any more."""
        self._see_to(conn)
        with conn.sending:
            conn.sock.close()
        with self._lock:
            self._unclosed -= 1
            if self._draining and not self._unclosed:
                self._wakeup.set()

    # What any thread does, for a connection whose `sending` it holds.

    def _take(self, conn: Connection) -> None:
        with self._lock:
            conn.dirty = False
            conn.buffer = self._hub.take(conn)

    def _send(self, conn: Connection) -> None:
        """Send all, waiting for the peer as long as it takes, or until it is reset."""
        while conn.buffer and conn.state is not State.GONE:
            self._send_once(conn)

    def _send_once(self, conn: Connection, flags: int = 0) -> None:
        try:
            conn.send_buffer(flags)
        except BlockingIOError:  # SO_SNDTIMEO, or there is no waiting
            pass
        except OSError as error:
            conn.buffer = b""
            self._lose(conn, error)
            conn.do(Todo.RESET)  # its own thread may wait in recv()
            return
        if conn.buffer or conn.extra is not None:
            with self._lock:
                self._hub.sent(conn, len(conn.buffer))

    def _do(self, conn: Connection) -> None:
        if conn.todo is None:  # whoever has something for it makes it dirty afterwards
            return
        with self._lock:
            todo = conn.pop_todo(conn.buffer)
        if todo is Todo.CLOSE:
            if conn.ident != threading.get_ident():  # its own thread may wait in recv()
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)
            self._lose(conn, None)
        elif todo is not None:
            conn.do(todo)

    def _lose(self, conn: Connection, error: OSError | None) -> None:
        with self._lock:
            self._hub.lost(conn, error if error is not None and error.errno else None)

    # What is said to a peer while its own thread waits for it to speak.

    def _see_to_others(self) -> None:
        while self._hub.dirty:
            self._see_to_those_now()

    def _see_to_those_now(self) -> None:
        """Who comes after them is left for later: there may always be somebody."""
        with self._lock:
            dirty, self._hub.dirty = self._hub.dirty, []
        for peer in dirty:
            self._see_to_other(cast(Connection, peer))

    def _see_to_other(self, peer: Connection) -> None:
        """Send without waiting."""
        if peer.extra is not None and peer.extra.rest is not None:
            return  # its own thread sends that, and will see what has come meanwhile
        while peer.dirty and peer.sending.acquire(blocking=False):
            self._take(peer)
            if peer.buffer:
                self._send_once(peer, socket.MSG_DONTWAIT)
            # A second thread, for as long as the peer is slow, which has `sending` till then.
            if peer.buffer and self._start_thread(self._flush, peer):
                return
            self._do(peer)
            peer.sending.release()

    def _flush(self, peer: Connection) -> None:
        self._send(peer)
        self._do(peer)
        peer.sending.release()
        self._see_to_other(peer)
        self._see_to_others()

    # What the hub wants, with the lock held, and the end.

    def wake(self) -> None:
        """As Shell.wake: who called the hub sees to it."""

    def accept(self, more: bool) -> None:
        """As Shell.accept."""
        self._accepting = more and not self._hub.draining
        self._wakeup.set()

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        self._wakeup.set()

    def abort(self) -> None:
        """Reset every peer, whatever is pending. May be called as `drain`."""
        self._aborted = True
        self._wakeup.set()


def _wait(files: Sequence[Any], timeout: float) -> list[Any]:
    """Those that can be read from, as select(), for any descriptor."""
    poll = select.poll()
    for each in files:
        poll.register(each, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(math.ceil(timeout * 1000))}
    return [each for each in files if each.fileno() in ready]
