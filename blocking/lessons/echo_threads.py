"""Echo, a thread for each client: who waits in recv() or send() keeps nobody else waiting.

The price is a stack for each client, and a switch between threads for each message. Here they
share nothing, so there is nothing to lock. `blocking/threaded.py` has what this lacks: limits,
deadlines, a way to end, and an accept() that survives when there are no descriptors left.
"""

import socket
import sys
import threading


def main(port: int = 7007) -> None:
    # socket(), SO_REUSEADDR, bind() and listen() in one.
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def serve(conn: socket.socket) -> None:
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
