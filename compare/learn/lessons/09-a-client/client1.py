"""Sends what is typed and shows what comes: client.py HOST PORT."""

import os
import selectors
import socket
import sys

KEYS, SCREEN = 0, 1

server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
selector = selectors.DefaultSelector()
selector.register(KEYS, selectors.EVENT_READ)
selector.register(server, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is server:
            os.write(SCREEN, server.recv(65536))
        else:
            typed = os.read(KEYS, 65536)
            if not typed:
                sys.exit()
            server.sendall(typed)
