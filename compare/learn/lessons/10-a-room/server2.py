"""A chat room: a thread for each member, and one lock."""

import contextlib
import re
import socket
import sys
import threading

LONGEST = 2000  # bytes of a line
members = {}  # the name of each connection that has given one
lock = threading.Lock()  # around all that they share, so that all hear all in one order


def tell(line, but):
    """All the others hear it; the lock is held."""
    for conn in members:
        if conn is not but:
            send(conn, line)


def send(conn, line):
    with contextlib.suppress(OSError):  # it has left: its own thread will hear of that, too
        conn.sendall(line)


def converse(conn, lines):
    """From the name to the end. Raises OSError."""
    conn.sendall(b"Welcome! What is your name?\n")
    name = lines.readline(LONGEST).decode(errors="replace")
    if not re.fullmatch(r"[a-zA-Z0-9]{1,32}\s*\n", name):
        return
    name = name.strip()
    with lock:
        send(conn, f"* Here are: {', '.join(members.values())}\n".encode())
        tell(f"* {name} has come\n".encode(), conn)
        members[conn] = name
    try:
        while (line := lines.readline(LONGEST)).endswith(b"\n"):
            text = line.decode(errors="replace").rstrip()
            with lock:
                tell(f"[{name}] {text}\n".encode(), conn)
    finally:
        with lock:
            del members[conn]
            tell(f"* {name} has left\n".encode(), conn)


def serve(conn):
    with conn, conn.makefile("rb") as lines, contextlib.suppress(OSError):
        converse(conn, lines)


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
