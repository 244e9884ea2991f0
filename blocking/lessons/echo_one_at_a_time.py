"""Echo, one client at a time: socket(), bind(), listen(), accept(), recv(), send(), close().

    python blocking/lessons/echo_one_at_a_time.py 7007
    nc 127.0.0.1 7007

Talk to it with two `nc` at once: the second is connected, by the kernel, which keeps it in the
backlog of listen(2), and nobody answers it until the first has left.

Ctrl-C ends it. It lacks deadlines, a way to end that loses nothing, and an accept() that survives
when there are no descriptors left (EMFILE): `blocking/sequential.py` is the same with these.
"""

import socket
import sys


def main(port: int = 7007) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Else a restart fails with EADDRINUSE while old connections are in TIME_WAIT: socket(7).
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    while True:
        conn, _ = listener.accept()
        serve(conn)


def serve(conn: socket.socket) -> None:
    """Until the client has finished sending, or is gone."""
    with conn:
        try:
            while data := conn.recv(65536):  # b"" says that no more will come (a half-close)
                conn.sendall(data)  # a single send() may take a part of it
        except OSError:  # reset (RST), or timed out: the client's own end, and nobody else's
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
