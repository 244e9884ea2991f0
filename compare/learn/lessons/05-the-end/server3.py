"""Sends back what comes, to one client at a time: server.py HOST PORT."""

import contextlib
import signal
import socket
import sys

running = True
conn = socket.socket()  # until somebody comes


def stop(number, frame):
    global running
    running = False
    signal.alarm(2)  # by then it is over, whoever does not read
    for each in (listener, conn):
        with contextlib.suppress(OSError):  # it has ended already
            each.shutdown(socket.SHUT_RD)


def serve(conn):
    # A reset is an ordinary end, and nobody else's.
    with conn, contextlib.suppress(ConnectionError):
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
    try:
        conn, address = listener.accept()
    except OSError:
        continue  # stop() has been called
    if running:
        serve(conn)
