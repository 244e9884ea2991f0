"""The client as beginners write it, from the kernel's own words: `beginner.py HOST PORT`."""

import select
import socket
import sys

server = socket.socket()
server.connect((sys.argv[1], int(sys.argv[2])))
epoll = select.epoll()
epoll.register(sys.stdin, select.EPOLLIN)
epoll.register(server, select.EPOLLIN)
while True:
    for fd, _ in epoll.poll():
        if fd == server.fileno():
            message = server.recv(1024)
            print(message.decode())  # noqa: T201
        else:
            server.send(input().encode() + b"\n")
