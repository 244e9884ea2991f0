"""Echo with edge-triggered epoll (EPOLLET): told once when something changes, then never again.

Everything is watched for from the beginning, and nothing is ever modified, which saves those calls.
The price: who stops before EAGAIN waits for ever, since what is there already is no change (the
missed edge). So `go_on` stops nowhere else: not after one recv(), and after the last of a rest has
been sent it goes back to reading, for input may have been reported meanwhile.

And who sends faster than we echo is served without a pause, while all others wait (starvation).
`blocking/on_epoll_et.py` ends a turn early and remembers who has not come to its EAGAIN; it has
what else this lacks, too, as in `echo_select`.
"""

import select
import socket
import sys
from select import EPOLLET, EPOLLIN, EPOLLOUT

epoll = select.epoll()
connections: dict[int, socket.socket] = {}  # by descriptor
rests: dict[int, bytes] = {}  # of each, what could not be sent yet


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    epoll.register(listener, EPOLLIN | EPOLLET)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                accept_all(listener)
            else:
                go_on(fd)


def accept_all(listener: socket.socket) -> None:
    """Until EAGAIN, as everything here."""
    while True:
        try:
            conn, _ = listener.accept()
        except BlockingIOError:
            return
        except ConnectionError:
            continue
        conn.setblocking(False)
        connections[conn.fileno()], rests[conn.fileno()] = conn, b""
        epoll.register(conn, EPOLLIN | EPOLLOUT | EPOLLET)


def go_on(fd: int) -> None:
    """Read and send until there is nothing to be read, or no room to send."""
    try:
        while rests[fd] or read(fd):
            rests[fd] = rests[fd][connections[fd].send(rests[fd]) :]
    except BlockingIOError:  # EAGAIN: there will be another event
        return
    except OSError:
        pass
    close(fd)


def read(fd: int) -> bytes:
    rests[fd] = connections[fd].recv(65536)
    return rests[fd]


def close(fd: int) -> None:
    del rests[fd]
    connections.pop(fd).close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
