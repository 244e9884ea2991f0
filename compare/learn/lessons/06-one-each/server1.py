"""Echo, a thread for each client: python server.py HOST PORT."""

import socket
import sys
import threading

buffer = bytearray(65536)  # one for all: it is made once and filled again and again


def serve(conn):
    with conn:
        try:
            while size := conn.recv_into(buffer):
                conn.sendall(memoryview(buffer)[:size])
        except OSError:  # a reset ends this client, and nobody else
            pass


def main(host, port):
    try:
        listener = socket.create_server((host, port), backlog=4096)
    except OSError as error:
        sys.exit(f"cannot listen at {host} port {port}: {error.strerror}")
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


main(sys.argv[1], int(sys.argv[2]))
