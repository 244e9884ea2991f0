"""All eleven states of TCP, each held still by who has both ends, on loopback, without rights."""

from __future__ import annotations

import contextlib
import socket

from compare.check.wire import RESET
from compare.see.stage import SETTLE_S, Client
from compare.see.watch import Watcher

WHAT = (
    "all eleven states of TCP, each held still: LISTEN, and ten of connections, of which both ends "
    "are this program's."
)
HOST = "127.0.0.1"
BUFFER = 4096  # bytes: of a window that is soon closed
PATIENCE_S = 10.0
MUCH = 64 * 1024 * 1024


class Play:
    """A listener whose queue has one place, and whoever connects to it; as a context manager."""

    def __init__(self, listener: socket.socket, watcher: Watcher) -> None:
        self._listener = listener
        self._watcher = watcher
        self._sockets = contextlib.ExitStack()

    def __enter__(self) -> Play:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()

    def all_states(self) -> None:
        self._watcher.note("listen(1)")
        self._queue()
        self._half_open()
        self._closes_in_order()
        self._closes_with_data_on_the_way()

    def _queue(self) -> None:
        """ESTABLISHED without accept(), and SYN_SENT, to which nobody answers."""
        waiting = [self._client() for _ in range(2)]  # the kernel takes one more than was asked for
        for each in waiting:
            each.connect()
        late = self._client()
        late.connect()
        late.close()
        for each in waiting:
            served = self._accept()
            each.close()
            served.close()

    def _half_open(self) -> None:
        """SYN_RECV: the listener wants data first, and the last ACK of the handshake has none."""
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        client = self._client()
        client.connect()
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
        client.send(b"x")
        self._accept().close()

    def _closes_in_order(self) -> None:
        """FIN_WAIT2 and CLOSE_WAIT, then TIME_WAIT; and CLOSE, after a reset."""
        client, served = self._pair()
        client.finish()
        self._until(client, "FIN_WAIT2", "CLOSE_WAIT")
        served.close()
        self._done("close")
        client, served = self._pair()
        served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        served.close()
        self._done("RST")

    def _closes_with_data_on_the_way(self) -> None:
        """FIN_WAIT1, CLOSING and LAST_ACK: a FIN waits behind bytes for which there is no room."""
        client, served = self._pair()
        client.fill(MUCH)
        client.finish()  # FIN_WAIT1
        served.shutdown(socket.SHUT_WR)  # both at once: CLOSING
        self._done("shutdown")
        self._until(client, "CLOSING", "FIN_WAIT2")
        client, served = self._pair()
        client.fill(MUCH)
        served.shutdown(socket.SHUT_WR)
        self._done("shutdown")
        self._until(client, "CLOSE_WAIT", "FIN_WAIT2")
        client.finish()  # LAST_ACK

    def _client(self) -> Client:
        client = Client(self._watcher, PATIENCE_S)
        self._sockets.callback(client.sock.close)
        return client

    def _accept(self) -> socket.socket:
        self._listener.settimeout(PATIENCE_S)
        served, _ = self._listener.accept()
        self._sockets.callback(served.close)
        self._done("accept")
        return served

    def _pair(self) -> tuple[Client, socket.socket]:
        client = self._client()
        client.connect()
        return client, self._accept()

    def _until(self, client: Client, ours: str, theirs: str) -> None:
        """The kernel may take 40 ms to acknowledge a FIN."""
        ends = client.ends
        wanted = (ours, theirs)
        client.until(lambda: (ends.client.state, ends.server.state) == wanted, PATIENCE_S)

    def _done(self, call: str) -> None:
        """By the server's end."""
        self._watcher.note(f"server {call}")
        self._watcher.settle(SETTLE_S)


def listener() -> socket.socket:
    """Of which the window is set before it listens, since connections have it from there."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.bind((HOST, 0))
    sock.listen(1)
    return sock
