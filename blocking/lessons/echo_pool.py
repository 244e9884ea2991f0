"""Echo, a pool of threads: made once, and a queue before them.

No thread is made for a connection, and never more than THREADS are there: that bounds memory, and
is the weakness, too, for as many clients that say nothing stop it for all others. Who waits in the
queue is connected, and not served. `blocking/threadpool.py` has what this lacks: deadlines, which
free a thread of who says nothing, and a way to end.
"""

import queue
import socket
import sys
import threading

THREADS = 32

waiting: queue.Queue[socket.socket] = queue.Queue(100)  # then the backlog of listen(2) fills


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    for _ in range(THREADS):
        threading.Thread(target=work, daemon=True).start()
    while True:
        conn, _ = listener.accept()
        waiting.put(conn)


def work() -> None:
    while True:
        serve(waiting.get())


def serve(conn: socket.socket) -> None:
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
