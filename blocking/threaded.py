"""A thread for each connection, and a lock around what they share.

Every thread reads as the one-at-a-time server does, so a slow client delays only its own
thread. The price is memory for a stack each, switches between them, and the lock: without it
two threads would change the room at once. It is never held while sending: one member who does not
read would stop everybody.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from aionet.core import Hub, State, Todo
from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import ACCEPT_RETRY_S, RECV_SIZE, AcceptPaused, accept
from blocking import connection
from blocking.datagram import ThreadedDatagramServer as DatagramServer
from blocking.wakeup import Wakeup

__all__ = ["DatagramServer", "StreamServer"]

log = logging.getLogger("blocking")

STILL_MS = 100  # between two looks at who is not to be read from


class Connection(connection.Connection):
    """A socket. Lock order: `sending`, then the server's lock."""

    __slots__ = ("sending",)

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        super().__init__(hub, sock)
        self.sending = threading.Lock()  # held by the thread that sends what there is


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a thread of its own."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._lock = threading.Lock()  # one call of the hub at a time
        self._wakeup = Wakeup()
        self._accepting = True
        self._draining = self._aborted = False
        places = self._places(limits)
        self._hub = Hub(service, limits, timeouts, self, places=places, now=time.monotonic())

    def _places(self, limits: Limits) -> int:
        return limits.connections or descriptor_room()

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener, contextlib.closing(self._wakeup):
            while not self._hub.draining or self._hub.open:
                watched = [self._wakeup, self._listener] if self._accepting else [self._wakeup]
                readable = _wait(watched, self._tick())
                if self._wakeup in readable:
                    self._wakeup.clear()
                if self._listener in readable:
                    self._accept()

    def _accept(self) -> bool:
        """Accept one, and start a thread for it; whether there may be more."""
        try:
            sock = accept(self._listener)
        except BlockingIOError:
            return False
        except AcceptPaused as error:
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            time.sleep(ACCEPT_RETRY_S)
            return not self._draining
        conn = Connection(self._hub, sock)
        with self._lock:
            self._hub.admit(conn)
        self._start(conn)
        return True

    def _start(self, conn: Connection) -> None:
        thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("%s; the connection is closed", error)
            with self._lock:
                self._hub.reset(conn, CloseReason.REJECTED)
            conn.sock.close()

    # What a thread does.

    def _serve(self, conn: Connection) -> None:
        """Serve one connection to its end."""
        self._see_to(conn)
        while conn.state is not State.GONE:
            if not conn.reads:
                self._wait_for_its_end(conn)
                continue
            try:
                data = conn.sock.recv(RECV_SIZE)
            except OSError as error:  # a reset ends its own conversation and nothing else
                self._lose(conn, error)
                break
            with conn.sending:
                with self._lock:
                    if data:
                        out = self._hub.receive_data(conn, data)
                    else:
                        out = b""
                        self._hub.receive_eof(conn)
                if out:
                    self._send(conn, out)
            if conn.dirty or self._hub.dirty:
                self._see_to(conn)
        self._see_to_others()
        with conn.sending:  # nobody may be in send() when the descriptor becomes free
            conn.sock.close()
        if self._draining:
            self._wakeup.set()

    def _wait_for_its_end(self, conn: Connection) -> None:
        """Its own, while nothing is to be read from it."""
        poll = select.poll()
        poll.register(conn.sock, 0)  # for POLLHUP and POLLERR, which come unasked
        if poll.poll(STILL_MS) and not conn.reads:
            number = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._lose(conn, OSError(number, "hung up") if number else None)

    def _send(self, conn: Connection, data: bytes) -> None:
        """Send all, waiting for the peer as long as it takes; `conn.sending` is held."""
        try:
            conn.sock.sendall(data)
        except OSError as error:
            self._lose(conn, error)

    def _lose(self, conn: Connection, error: OSError | None) -> None:
        with self._lock:
            self._hub.lost(conn, error)

    def _see_to(self, conn: Connection) -> None:
        """Send what else there is for `conn`, do what is to be done, and see to the others."""
        while conn.dirty:
            with conn.sending:
                data, todo = self._take(conn)
                if data:
                    self._send(conn, data)
                    with self._lock:
                        self._hub.sent(conn, 0)
                self._do(conn, todo)
        self._see_to_others()

    def _take(self, conn: Connection) -> tuple[bytes, Todo | None]:
        with self._lock:
            conn.dirty = False
            todo, conn.todo = conn.todo, None
            return self._hub.take(conn), todo

    def _do(self, conn: Connection, todo: Todo | None) -> None:
        if todo is not None:
            conn.do(todo)
            if todo is Todo.CLOSE:
                self._lose(conn, None)

    # What others say to a peer, while its own thread waits for it to speak.

    def _see_to_others(self) -> None:
        while self._hub.dirty:
            with self._lock:
                dirty, self._hub.dirty = self._hub.dirty, []
            for peer in dirty:
                self._see_to_other(peer)

    def _see_to_other(self, peer: Connection) -> None:
        """Send without waiting. Whoever holds `sending` looks once more when it has let go."""
        while peer.dirty and peer.sending.acquire(blocking=False):
            data, todo = self._take(peer)
            try:
                sent = peer.sock.send(data, socket.MSG_DONTWAIT) if data else 0
            except BlockingIOError:
                sent = 0
            except OSError as error:
                sent = len(data)
                self._lose(peer, error)
            if sent < len(data) and peer.state is not State.GONE:
                peer.buffer = data[sent:]
                with self._lock:
                    self._hub.sent(peer, len(peer.buffer))
                # A second thread, for as long as the peer is slow, which has `sending` till then.
                threading.Thread(target=self._flush, args=(peer, todo), daemon=True).start()
                return
            self._do(peer, todo)
            peer.sending.release()

    def _flush(self, peer: Connection, todo: Todo | None) -> None:
        self._send(peer, bytes(peer.buffer))
        peer.buffer = b""
        with self._lock:
            self._hub.sent(peer, 0)
        self._do(peer, todo)
        peer.sending.release()
        self._see_to_other(peer)

    # What the hub wants, and the end.

    def wake(self) -> None:
        """As Shell.wake: who called the hub sees to it."""

    def accept(self, more: bool) -> None:
        """As Shell.accept."""
        self._accepting = more
        self._wakeup.set()

    def _tick(self) -> float:
        if self._draining and not self._hub.draining:
            while self._accept():  # who was connected before
                pass
            self._accepting = False
            self._listener.close()
            with self._lock:
                self._hub.drain()
        with self._lock:
            if self._aborted:
                self._hub.end()
            delay = self._hub.tick(time.monotonic())
        self._see_to_others()
        return delay

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
