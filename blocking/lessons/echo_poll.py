"""Echo, one thread for all, with poll(2): select() without its end at 1,024 descriptors.

What is waited for is registered, and changed when it changes; Python keeps the list, and hands all
of it to the kernel at each call, which looks at all of it. Who can go on comes back as a number, so
connections are kept by their descriptor. POLLERR and POLLHUP come unasked: the next recv() or
send() says what they mean. `blocking/on_poll.py` is the poller of `blocking/readiness.py`, which
has what this lacks, as in `echo_select`.
"""

import select
import socket
import sys
from select import POLLIN, POLLOUT

poller = select.poll()
connections: dict[int, socket.socket] = {}  # by descriptor
rests: dict[int, bytes] = {}  # of each, what could not be sent yet


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    poller.register(listener, POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                accept(listener)
            else:
                go_on(fd)


def accept(listener: socket.socket) -> None:
    try:
        conn, _ = listener.accept()
    except (BlockingIOError, ConnectionError):
        return
    conn.setblocking(False)
    connections[conn.fileno()], rests[conn.fileno()] = conn, b""
    poller.register(conn, POLLIN)


def go_on(fd: int) -> None:
    """Read if there is nothing to be sent, and send; then wait for what is due next."""
    try:
        if not rests[fd] and not read(fd):
            close(fd)
            return
        rests[fd] = rests[fd][connections[fd].send(rests[fd]) :]
    except BlockingIOError:
        pass
    except OSError:
        close(fd)
        return
    poller.modify(fd, POLLOUT if rests[fd] else POLLIN)


def read(fd: int) -> bytes:
    rests[fd] = connections[fd].recv(65536)
    return rests[fd]


def close(fd: int) -> None:
    del rests[fd]
    poller.unregister(fd)
    connections.pop(fd).close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
