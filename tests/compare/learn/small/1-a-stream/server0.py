"""Answers once."""

import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(500)
while True:
    conn, address = listener.accept()
    conn.sendall(conn.recv(65536))
    conn.close()
