"""Answers each frame of numbers with a frame of their sum: server.py HOST PORT."""

import socket
import struct
import sys
import threading


def serve(conn):
    with conn:
        while header := conn.recv(4):
            (length,) = struct.unpack(">I", header)
            body = conn.recv(length)
            if not body:
                break
            numbers = struct.unpack(f">{len(body) // 4}i", body)
            conn.sendall(struct.pack(">I", 8))
            conn.sendall(struct.pack(">q", sum(numbers)))


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    sys.exit(f"cannot listen at port {sys.argv[2]}: {error.strerror}")
listener.listen(4096)
while True:
    conn, address = listener.accept()
    # A thread for each client: lesson 6 has more of them.
    threading.Thread(target=serve, args=[conn], daemon=True).start()
