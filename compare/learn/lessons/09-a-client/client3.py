"""Sends what is typed and shows what comes: client.py HOST PORT."""

import os
import selectors
import socket
import sys

KEYS, SCREEN = 0, 1
HOST, PORT = sys.argv[1], int(sys.argv[2])


def talk():
    server = socket.create_connection((HOST, PORT))
    selector = selectors.PollSelector()  # epoll refuses a file, with EPERM
    selector.register(KEYS, selectors.EVENT_READ)
    selector.register(server, selectors.EVENT_READ)
    typing = True
    while True:
        for key, _ in selector.select():
            if key.fileobj is server:
                heard = server.recv(65536)
                if not heard:
                    sys.exit(f"{HOST} {PORT} has closed the connection" if typing else 0)
                os.write(SCREEN, heard)
            else:
                typed = os.read(KEYS, 65536)
                if typed:
                    server.sendall(typed)
                else:
                    typing = False
                    selector.unregister(KEYS)
                    server.shutdown(socket.SHUT_WR)


try:
    talk()
except OSError as error:
    sys.exit(f"{HOST} {PORT}: {error.strerror}")
