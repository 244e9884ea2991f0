"""Echo, a thread for each client: python server.py HOST PORT."""

import socket
import sys
import threading


def serve(conn):
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
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
