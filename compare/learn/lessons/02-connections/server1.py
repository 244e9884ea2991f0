"""An echo over TCP, one message for each client: server.py HOST PORT."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind((host, port))
listener.listen(5)
while True:
    conn, client = listener.accept()
    data = conn.recv(1024)
    conn.send(data)
    conn.close()
