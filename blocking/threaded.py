"""A thread for each connection, and a lock around what they share.

Every thread reads as the one-at-a-time server does, so a slow client delays only its own
thread. The price is memory for a stack each, switches between them, and the lock: without it
two threads would change the room at once.
"""

from __future__ import annotations

import logging
import threading

from blocking.conversations import Conversations
from blocking.datagram import ThreadedDatagramServer as DatagramServer

__all__ = ["DatagramServer", "StreamServer"]

log = logging.getLogger("blocking")


class StreamServer(Conversations):
    """Serves `service` on a listening TCP socket, each connection in a thread of its own."""

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener:
            while conn := self._accept():
                thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    log.warning("%s; the connection is closed", error)
                    conn.sock.close()
                    self._forget(conn)
        self._wait_until_fewer_than(1)
