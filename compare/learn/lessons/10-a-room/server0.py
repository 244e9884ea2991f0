"""A chat room: a thread for each member, and one lock."""

import contextlib
import socket
import sys
import threading

members = {}  # the name of each connection
lock = threading.Lock()


def tell(line, but):
    """All the others hear it."""
    with lock:
        for conn in list(members):
            if conn is not but:
                send(conn, line)


def send(conn, line):
    with contextlib.suppress(OSError):  # it has left: its own thread will hear of that, too
        conn.sendall(line)


def converse(conn):
    """From the name to the end. Raises OSError."""
    send(conn, b"Welcome! What is your name?\n")
    if not (line := conn.recv(1024)):
        return
    name = line.decode().strip()
    others = ", ".join(filter(None, list(members.values())))
    members[conn] = name
    tell(f"* {name} has come\n".encode(), conn)
    send(conn, f"* Here are: {others}\n".encode())
    while line := conn.recv(1024):
        text = line.decode().rstrip()
        tell(f"[{name}] {text}\n".encode(), conn)


def serve(conn):
    members[conn] = None
    with conn:
        with contextlib.suppress(OSError):  # a reset is an ordinary end
            converse(conn)
        if name := members.pop(conn):
            tell(f"* {name} has left\n".encode(), conn)


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
