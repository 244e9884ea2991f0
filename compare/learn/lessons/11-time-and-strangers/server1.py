"""Echo, with a thread for each connection, which says for how long it waits."""

import contextlib
import socket
import struct
import sys
import threading

IDLE_S = 2  # in which nothing comes; short, for the lesson
WRITE_S = 2  # in which nothing is read
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: what is not sent is dropped


def echo(conn):
    """Until the end. Raises OSError, of which TimeoutError is one."""
    conn.settimeout(IDLE_S)
    while data := conn.recv(65536):
        conn.settimeout(WRITE_S)
        try:
            conn.sendall(data)
        except TimeoutError:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        conn.settimeout(IDLE_S)


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
