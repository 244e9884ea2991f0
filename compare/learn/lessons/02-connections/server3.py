"""An echo over TCP, one message for each client: server.py HOST PORT."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
# Connections of the program that was here before may be in TIME_WAIT: they are not in our way.
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind((host, port))
    listener.listen(4096)
except OSError as error:
    sys.exit(f"cannot listen at {host} port {port}: {error.strerror}")
while True:
    conn, client = listener.accept()
    data = conn.recv(1024)
    conn.send(data)
    conn.close()
