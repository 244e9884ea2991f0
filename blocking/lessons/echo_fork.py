"""Echo, a process for each client: fork(2) copies the server, with the connection in its hands.

Nothing is shared, so nothing needs a lock, and a crash costs one client. Both processes hold both
sockets after it: the parent has to close the connection, or the client would never see its end, and
the child the listener, or the port would stay taken. The parent must also wait for its children, or
they stay behind as zombies; with SIGCHLD ignored, the kernel does that. `blocking/fork.py` has what
this lacks: a limit on children, deadlines, and an end that takes the children with it.
"""

import os
import signal
import socket
import sys


def main(port: int = 7007) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        conn, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            serve(conn)
            os._exit(0)  # and not what the parent had registered for its own end
        conn.close()


def serve(conn: socket.socket) -> None:
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
