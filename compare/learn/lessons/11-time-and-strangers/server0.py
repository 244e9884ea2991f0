"""Echo, with a thread for each connection."""

import contextlib
import socket
import sys
import threading


def echo(conn):
    """Until the end. Raises OSError."""
    while data := conn.recv(65536):
        conn.sendall(data)


def serve(conn):
    with conn, contextlib.suppress(OSError):
        echo(conn)


def main(host, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    listener.listen(4096)
    while True:
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
