"""One client at a time: accept, serve to its end, accept the next.

The simplest server there is, and what is wrong with it: whoever comes second waits, connected
by the kernel and served by nobody, until the first has left. That is why Limits.connections,
.per_peer and .on_full mean nothing here: it never holds more than one.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aionet.core import State, Todo, hub_class
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import (
    RECV_SIZE,
    AcceptPaused,
    ListenerClosed,
    accept,
    accept_patiently,
    stop_reading,
    waiting_to_be_accepted,
)
from blocking.connection import Connection, set_wait
from blocking.datagram import DatagramServer

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["DatagramServer", "StreamServer"]


class StreamServer:
    """Serves `service` on a listening TCP socket, one connection after the other."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self._listener = listener
        limits = replace(limits, on_full="queue")
        hub = hub_class(tls is not None)
        self._hub = hub(service, limits, timeouts, self, places=1, now=time.monotonic())
        self._tick_at = 0.0
        self._step = 0.0  # between two looks at the clock
        self._conn: Connection | None = None
        self._late: list[Connection] = []  # who were connected before the drain
        self._draining = self._aborted = False

    def serve_forever(self) -> None:
        """Serve until `drain` is called, and those who were connected before."""
        self._set_waits(self._listener)  # who is connected from now on inherits them
        early = waiting_to_be_accepted(self._listener)
        with self._listener:
            while not self._draining:
                try:
                    sock = accept_patiently(self._listener)
                except BlockingIOError:  # SO_RCVTIMEO
                    continue
                if sock is None:
                    break
                if early:
                    early -= 1
                    self._set_waits(sock)
                self._converse(self._admit(sock))
            self._tick()
        for conn in self._late:
            self._converse(conn)

    def serve(self, sock: socket.socket) -> None:
        """Serve one connection to its end, and no other."""
        self._set_waits(sock)
        self._converse(self._admit(sock))

    def _set_waits(self, sock: socket.socket) -> None:
        """So that no call waits longer than until the next look at the clock."""
        self._step = self._hub.tick(time.monotonic())
        set_wait(sock, socket.SO_RCVTIMEO, self._step)
        set_wait(sock, socket.SO_SNDTIMEO, self._step)

    def _admit(self, sock: socket.socket) -> Connection:
        conn = Connection(self._hub, sock)
        self._hub.admit(conn)
        return conn

    def _converse(self, conn: Connection) -> None:
        with conn.sock:
            self._conn = conn
            self._settle(conn)
            while conn.state is not State.GONE:
                self._read(conn)
                self._settle(conn)
        self._conn = None

    def _read(self, conn: Connection) -> None:
        """Read once, or wait in vain until there is another look at the clock."""
        if not conn.reads:
            time.sleep(self._step)
            return
        try:
            data = conn.sock.recv(RECV_SIZE)
        except BlockingIOError:  # SO_RCVTIMEO
            return
        except OSError as error:  # a reset ends its own conversation and nothing else
            self._hub.lost(conn, error)
            return
        if not data:
            self._hub.receive_eof(conn)
        elif out := self._hub.receive_data(conn, data):
            self._send(conn, out)

    def _send(self, conn: Connection, data: bytes) -> None:
        """Send all of it. Nothing is read until the kernel has taken everything: a peer that does
        not read is not listened to, and nothing piles up here.
        """
        conn.buffer = data
        while conn.buffer and conn.state is not State.GONE:
            try:
                conn.send_buffer()
            except BlockingIOError:  # SO_SNDTIMEO
                pass
            except OSError as error:
                self._hub.lost(conn, error)
                return
            self._hub.sent(conn, len(conn.buffer))
            self._tick()

    def _settle(self, conn: Connection) -> None:
        """Send what else there is, and do what is to be done."""
        self._tick()
        while conn.dirty:
            conn.dirty = False
            if data := self._hub.take(conn):
                self._send(conn, data)
            if (todo := conn.pop_todo(conn.buffer)) is not None:
                conn.do(todo)
                if todo is Todo.CLOSE:
                    self._hub.lost(conn, None)
        self._hub.dirty.clear()  # who else is dirty waits for its turn

    # What the hub wants, and the end.

    def wake(self) -> None:
        """As Shell.wake: there is but one peer, and we see to it in any case."""

    def accept(self, more: bool) -> None:
        """As Shell.accept: nobody else is accepted before this one has left."""

    def _tick(self) -> None:
        now = time.monotonic()
        if self._draining and not self._hub.draining:
            self._accept_late()
            self._hub.drain()
        if self._aborted:
            self._hub.end()
        if now >= self._tick_at:
            self._tick_at = now + self._hub.tick(now)

    def _accept_late(self) -> None:
        """Who was connected, and waits: its turn comes when this one has left."""
        if self._listener.fileno() >= 0:
            with contextlib.suppress(BlockingIOError, AcceptPaused, ListenerClosed):
                for _ in range(waiting_to_be_accepted(self._listener)):
                    sock = accept(self._listener)
                    self._set_waits(sock)
                    self._late.append(self._admit(sock))
            self._listener.close()  # nobody else is to be connected

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else, or by another thread.
        """
        self._draining = True
        if self._conn is not None:
            stop_reading(self._conn.sock)

    def abort(self) -> None:
        """Reset the peer, whatever is pending. May be called as `drain`."""
        self._aborted = True
        if self._conn is not None:
            self._conn.do(Todo.RESET)  # so that recv() ends; a send() ends by itself
