"""gevent: a greenlet for each connection, which reads and writes as if it could block.

As its examples have it, on its StreamServer. Datagrams are read by a greenlet of their own: its
DatagramServer reads 8 KiB at most. A member of the chat has a second greenlet, which sends what
others say from a queue: one that waits for who does not read must not be that of another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Full, Queue
from gevent.server import StreamServer
from gevent.socket import socket as gevent_socket

from aionet.command import Serve
from aionet.protocol import Deliveries, Service
from aionet.sockets import RECV_SIZE

MESSAGES = 10_000  # waiting for a member; who has more reads slower than others talk


class Peer:
    """A connection and what is to be sent on it; None is the last."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        self.closing = False
        self.outbox: Queue = Queue(MESSAGES)

    def send(self) -> None:
        """Send what others say, and then that there is no more."""
        with contextlib.suppress(OSError):
            while data := self.outbox.get():
                self.conn.sendall(data)
            self.conn.shutdown(socket.SHUT_WR)


class Chat:
    """Members hear each other, through their queues."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def meet(self, conn: Any, address: tuple[str, int]) -> None:
        peer = Peer(conn)
        sender = gevent.spawn(peer.send)
        try:
            self._deliver(self._service.connect(peer))
            with contextlib.suppress(OSError):
                while data := conn.recv(RECV_SIZE):
                    if not peer.closing:
                        self._deliver(self._service.receive_data(peer, data))
            self._deliver(self._service.receive_eof(peer))
            sender.join()
        finally:
            peer.closing = True
            sender.kill()

    def _deliver(self, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            if peer.closing:
                continue
            peer.closing = not data
            try:
                peer.outbox.put_nowait(data)
            except Full:
                peer.closing = True
                peer.conn.close()


def echo(service: Service, conn: Any, address: tuple[str, int]) -> None:
    """What a peer says concerns nobody else, so its own greenlet sends the answer."""
    with contextlib.suppress(OSError):
        while data := conn.recv(RECV_SIZE):
            for _, reply in service.receive_data(conn, data):
                conn.sendall(reply)


def echo_datagrams(service: Service, sock: Any) -> None:
    while True:
        data, sender = sock.recvfrom(RECV_SIZE)
        for peer, reply in service.receive_data(sender, data):
            with contextlib.suppress(OSError):  # a port of 0: that peer's loss
                sock.sendto(reply, peer)


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    service = task.make_service()
    ours = gevent_socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    if task.datagrams:
        running = gevent.spawn(echo_datagrams, service, ours)
    else:
        meet = Chat(service).meet if task.service == "chat" else partial(echo, service)
        server = StreamServer(ours, meet)
        server.start()
        running = gevent.spawn(Event().wait)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, running.kill, block=False)
    ready()
    running.join()
    if not task.datagrams:
        server.stop()
