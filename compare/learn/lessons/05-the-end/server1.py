"""Sends back what comes, to one client at a time: server.py HOST PORT."""

import signal
import socket
import sys

running = True


def stop(number, frame):
    global running
    running = False


def serve(conn):
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
try:
    listener.bind((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    sys.exit(f"cannot listen at port {sys.argv[2]}: {error.strerror}")
listener.listen(4096)
signal.signal(signal.SIGTERM, stop)
while running:
    conn, address = listener.accept()
    serve(conn)
