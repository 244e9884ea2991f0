"""Echo on `selectors` as an introduction shows it: one thread, callbacks, send() unchecked."""

from __future__ import annotations

import selectors
import socket
import sys

selector = selectors.DefaultSelector()


def accept(listener: socket.socket) -> None:
    conn, _ = listener.accept()
    conn.setblocking(False)
    selector.register(conn, selectors.EVENT_READ, read)


def read(conn: socket.socket) -> None:
    if data := conn.recv(1000):
        conn.send(data)
    else:
        selector.unregister(conn)
        conn.close()


listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(100)
listener.setblocking(False)
selector.register(listener, selectors.EVENT_READ, accept)
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
