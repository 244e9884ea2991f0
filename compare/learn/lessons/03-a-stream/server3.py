"""An echo over TCP: server.py HOST PORT."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind((host, port))
    listener.listen(4096)
except OSError as error:
    sys.exit(f"cannot listen at {host} port {port}: {error.strerror}")
while True:
    conn, client = listener.accept()
    # An answer in several pieces must not wait until the first is acknowledged.
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := conn.recv(65536):  # b"" says that the client sends no more
        conn.sendall(data)
    conn.close()
