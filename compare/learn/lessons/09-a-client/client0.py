"""Sends what is typed and shows what comes: client.py HOST PORT."""

import selectors
import socket
import sys

server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
selector = selectors.DefaultSelector()
selector.register(sys.stdin, selectors.EVENT_READ)
selector.register(server, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is server:
            message = server.recv(1024)
            print(message.decode())
        else:
            server.sendall(input().encode() + b"\n")
