"""The least that echoes on epoll: what everything else is measured against.

It loses data when a peer does not read, knows no half-close, and dies of the first error.
"""

import select
import socket
import sys

host = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
family = socket.AF_INET6 if ":" in host else socket.AF_INET
listener = socket.create_server((host, 0), family=family, backlog=4096)
listener.setblocking(False)
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
connections: dict[int, socket.socket] = {}
print(f"READY tcp://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201

while True:
    for fd, _ in epoll.poll():
        if fd == listener.fileno():
            conn, _ = listener.accept()
            conn.setblocking(False)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections[conn.fileno()] = conn
            epoll.register(conn, select.EPOLLIN)
        elif data := connections[fd].recv(65536):
            connections[fd].send(data)
        else:
            connections.pop(fd).close()
