"""Echo, one thread for all, with select(2): ask the kernel who can go on, and do only that.

The sockets do not block: what cannot be done at once raises BlockingIOError (EAGAIN). So send()
takes what there is room for, and the rest has to be kept until select() says that there is room
again. Who has such a rest is not read from meanwhile: that is the back-pressure. Without it, a
client that sends and does not read would fill our memory.

select() knows 1,024 descriptors, and looks at all of them at every call. `blocking/readiness.py`
with `blocking/on_select.py` has what this lacks: limits, deadlines, a way to end, and an answer to
an accept() that fails because there are no descriptors left.
"""

import select
import socket
import sys

rests: dict[socket.socket, bytes] = {}  # of each connection, what could not be sent yet


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    while True:
        readers = [conn for conn, rest in rests.items() if not rest]
        writers = [conn for conn, rest in rests.items() if rest]
        readable, writable, _ = select.select([listener, *readers], writers, [])
        for sock in readable + writable:
            if sock is listener:
                accept(listener)
            else:
                go_on(sock)


def accept(listener: socket.socket) -> None:
    try:
        conn, _ = listener.accept()
    except (BlockingIOError, ConnectionError):  # who was there has gone again
        return
    conn.setblocking(False)
    rests[conn] = b""


def go_on(conn: socket.socket) -> None:
    """Read if there is nothing to be sent, and send."""
    try:
        if not rests[conn] and not read(conn):
            close(conn)
            return
        rests[conn] = rests[conn][conn.send(rests[conn]) :]
    except BlockingIOError:  # there is no room; or select() was wrong, see its BUGS
        pass
    except OSError:
        close(conn)


def read(conn: socket.socket) -> bytes:
    rests[conn] = conn.recv(65536)
    return rests[conn]


def close(conn: socket.socket) -> None:
    del rests[conn]
    conn.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
