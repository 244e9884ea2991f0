"""gevent: a greenlet for each connection, which reads and writes as if it could block.

As its examples have it, on its StreamServer. Datagrams are read by a greenlet of their own: its
DatagramServer reads 8 KiB at most.

What a peer gets in answer is sent by its own greenlet. Who is talked to by others has a second one,
from the first time on: one that waits for who does not read must not be that of another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import gevent
import gevent.ssl
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import socket as gevent_socket

from aionet.command import Serve
from aionet.core import Hub, State, Todo
from aionet.pktinfo import answering
from aionet.sockets import BURST, RECV_SIZE
from compare.contenders import connection
from compare.contenders.answers import Answers

if TYPE_CHECKING:
    from ssl import SSLContext


class Connection(connection.Connection):
    """A socket. sending: a greenlet does; whatever another one has for it is left to that.

    second: it has a second greenlet. changed: set, and replaced, when one of the two has something
    to tell the other.
    """

    __slots__ = ("changed", "second", "sending")

    def __init__(self, hub: Hub, sock: Any) -> None:
        super().__init__(hub, sock)
        self.sending = self.second = False
        self.changed = Event()

    def notify(self) -> None:
        self.changed.set()
        self.changed = Event()

    def close(self) -> None:
        self.sock.close()

    def gone(self) -> None:
        super().gone()
        self.notify()


class Server:
    """Serves a service; `meet` is what gevent's StreamServer takes."""

    def __init__(self, task: Serve) -> None:
        self._woken = Event()
        self.hub = connection.hub_of(task, self, time.monotonic())

    def meet(self, sock: Any, address: Any) -> None:
        """Serve one connection to its end."""
        conn = Connection(self.hub, sock)
        self.hub.admit(conn)
        self._see_to(conn)
        while conn.state is not State.GONE:
            if conn.reads:
                self._read(conn)
            else:
                conn.changed.wait()

    def _read(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECV_SIZE)
        except OSError as error:  # a reset ends its own conversation and nothing else
            self.hub.lost(conn, error)
            return
        while conn.sending:  # the second greenlet: what others have said goes first
            conn.changed.wait()
        if not data:
            self.hub.receive_eof(conn)
        elif out := self.hub.receive_data(conn, data):
            self._send(conn, out)
        self._see_to(conn)

    def _send(self, conn: Connection, data: bytes) -> None:
        """Send all of it. Nothing is read meanwhile: who does not read is not listened to."""
        conn.sending = True
        try:
            conn.sock.sendall(data)
            self.hub.sent(conn, 0)
        except OSError as error:
            self.hub.lost(conn, error)
        conn.sending = False

    def _see_to(self, conn: Connection) -> None:
        """Send what else there is, and do what is to be done."""
        while conn.dirty and not conn.sending:
            conn.dirty = False
            if data := self.hub.take(conn):
                self._send(conn, data)
            todo = conn.pop_todo()
            if todo is Todo.CLOSE:
                conn.close()
                self.hub.lost(conn, None)
            elif todo is not None:
                conn.do(todo)

    # What others say to a peer, while its own greenlet waits for it to speak.

    def see_to_others(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            dirty, self.hub.dirty = self.hub.dirty, []
            for conn in cast(list[Connection], dirty):
                if not conn.second:
                    conn.second = True
                    gevent.spawn(self._talk, conn)
                conn.notify()

    def _talk(self, conn: Connection) -> None:
        """Its second greenlet."""
        while True:
            self._see_to(conn)
            conn.notify()
            if conn.state is State.GONE:  # asked here, for nobody tells of it a second time
                break
            conn.changed.wait()

    # What the hub wants, and time.

    def wake(self) -> None:
        self._woken.set()

    def accept(self, more: bool) -> None:
        """As Shell.accept: who comes when there is no place waits for one."""

    def tick(self) -> None:
        while True:
            gevent.sleep(self.hub.tick(time.monotonic()))


def echo_datagrams(answers: Answers, sock: Any) -> None:
    while True:
        for _ in range(BURST):
            data, sender = sock.recvfrom(RECV_SIZE)
            for peer, reply in answers.to(sender, data):
                with contextlib.suppress(OSError):  # no way there: that peer's loss
                    sock.sendto(reply, peer)
        gevent.sleep(0)  # where there is something to read, recvfrom() leaves nobody a turn


def _signalled() -> Event:
    """Set by SIGTERM or SIGINT; a second one is left to the kernel."""
    signalled = Event()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signalled.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop)
    return signalled


def _of_its_own(tls: SSLContext, task: Serve) -> Any:
    """The same for gevent, whose sockets a context of another class would not make."""
    context = gevent.ssl.SSLContext(tls.protocol)
    context.minimum_version, context.options = tls.minimum_version, tls.options
    assert task.tls is not None
    context.load_cert_chain(*task.tls)
    return context


def serve(
    task: Serve, sock: socket.socket, ready: Callable[[], None], tls: SSLContext | None
) -> None:
    signalled = _signalled()
    ours = gevent_socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    if task.datagrams:
        gevent.spawn(echo_datagrams, Answers(task, ours), answering(ours))
        ready()
        signalled.wait()
        return
    server, peers = Server(task), Pool()
    how = {"ssl_context": _of_its_own(tls, task)} if tls else {}
    listening = StreamServer(ours, server.meet, spawn=peers, **how)
    listening.start()
    gevent.spawn(server.tick)
    gevent.spawn(server.see_to_others)
    ready()
    signalled.wait()
    listening.close()
    server.hub.drain()
    if not peers.join(task.timeouts.drain):
        server.hub.end()
        peers.join()
