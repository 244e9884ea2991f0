"""Asking again and again against being told: two servers with a client that says nothing."""

import os
import select
import socket
import time
from pathlib import Path


def asks_again_and_again(conn):
    calls = 0
    while True:
        calls += 1
        try:
            return conn.recv(100), calls
        except BlockingIOError:  # EAGAIN
            pass


def waits_in_poll(conn):
    poller = select.poll()
    poller.register(conn, select.POLLIN)
    poller.poll()
    return conn.recv(100), 1


def serve(server, conn):
    """In a process of its own: read once, and say how many calls that took."""
    conn.setblocking(False)
    conn.sendall(str(server(conn)[1]).encode())
    os._exit(0)


def show(server):
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    conn, _ = listener.accept()
    if (pid := os.fork()) == 0:
        serve(server, conn)
    time.sleep(0.1)
    states = set()
    for _ in range(20):  # looks, in a second
        states.add(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0])
        time.sleep(0.05)
    sent = time.perf_counter()
    client.sendall(b"hello")
    calls = int(client.recv(100))
    took = time.perf_counter() - sent
    usage = os.wait4(pid, 0)[2]
    print(f"{server.__name__.replace('_', ' ')}, and its client says nothing for a second:")
    print(f"    state {' and '.join(sorted(states))}", end="")
    print(f", {(usage.ru_utime + usage.ru_stime) * 1000:.0f} ms of CPU time", end="")
    print(f", {calls:,} calls of recv()")
    print(f"    then a hello: answered after {took * 1000:.1f} ms")


show(asks_again_and_again)
show(waits_in_poll)
