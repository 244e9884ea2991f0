"""A TCP echo to begin from: python echo.py PORT. It works with telnet, and fails most checks."""

import socket
import sys

listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(5)
while True:
    conn, address = listener.accept()
    data = conn.recv(1024)
    conn.send(data)
    conn.close()
