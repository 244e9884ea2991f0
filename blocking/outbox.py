"""What is to be sent on a blocking socket, by whichever thread comes to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque

from aionet.sockets import set_reset_on_close


class Connection:
    """A socket and what is to be sent on it.

    Lock order: the server's lock, then nothing. `sending` is only ever held without it.
    """

    __slots__ = ("closing", "outbox", "put_bytes", "sending", "sent_bytes", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.outbox: deque[bytes] = deque()
        self.put_bytes = 0  # written under the server's lock
        self.sent_bytes = 0  # written while `sending` is held
        self.closing = False  # the service has said its last word to this peer
        self.sending = threading.Lock()  # held by the thread that empties the outbox

    def put(self, data: bytes) -> None:
        self.outbox.append(data)
        self.put_bytes += len(data)

    @property
    def pending_bytes(self) -> int:
        return self.put_bytes - self.sent_bytes

    def flush(self) -> None:
        """Send all there is, waiting for the peer as long as it takes. Raises OSError."""
        while self.outbox:  # somebody may have filled it just before we let go
            with self.sending:
                while self.outbox:
                    data = self.outbox.popleft()
                    self.sock.sendall(data)
                    self.sent_bytes += len(data)

    def flush_now(self) -> bool:
        """Send what the kernel takes without waiting; False if something is left."""
        # Whoever holds `sending` empties the outbox. It may have looked for the last time
        # just before we filled it, so look again after it has let go.
        while self.outbox and self.sending.acquire(blocking=False):
            try:
                data = self.outbox.popleft()
                sent = self.sock.send(data, socket.MSG_DONTWAIT)
                self.sent_bytes += sent
                if sent < len(data):
                    self.outbox.appendleft(data[sent:])
                    return False
            except BlockingIOError:
                self.outbox.appendleft(data)
                return False
            except IndexError:
                return True
            finally:
                self.sending.release()
        return True

    def shut(self) -> None:
        """Drop the peer: its thread sees the end, and close() will reset it."""
        with contextlib.suppress(OSError):
            set_reset_on_close(self.sock)
            self.sock.shutdown(socket.SHUT_RDWR)
