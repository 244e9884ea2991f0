"""Which thread sleeps in which call: five silent clients, one after the other and one each."""

import os
import select
import socket
import threading
import time
from pathlib import Path

CALLS = {"202": "accept", "242": "accept", "207": "recv"}
if os.uname().machine == "x86_64":
    CALLS = {"43": "accept", "288": "accept", "45": "recv"}
TASKS = Path("/proc/self/task")


def serve(conn):
    while data := conn.recv(65536):
        conn.sendall(data)


def one_after_the_other(listener):
    while conn := listener.accept()[0]:
        serve(conn)


def one_each(listener):
    while conn := listener.accept()[0]:
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def look(task, port):
    while (said := (task / "syscall").read_text().split())[0] not in CALLS:
        time.sleep(0.01)
    call, fd = said[:2]
    state = (task / "stat").read_text().rpartition(") ")[2][0]
    with socket.socket(fileno=os.dup(int(fd, 16))) as sock:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        whose = "the listener" if listens else port[sock.getpeername()[1]]
    return f"{state}, in {CALLS[call]}() on {whose}"


for server in (one_after_the_other, one_each):
    before = set(TASKS.iterdir())
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server, args=(listener,), daemon=True).start()
    clients = [socket.create_connection(listener.getsockname()) for _ in range(6)]
    port = {client.getsockname()[1]: f"client {n}" for n, client in enumerate(clients, 1)}
    time.sleep(0.5)
    print(f"{server.__name__.replace('_', ' ')}, 6 clients, who say nothing:")
    for task in sorted(set(TASKS.iterdir()) - before, key=lambda each: int(each.name)):
        print(f"    a thread: {look(task, port)}")
    began = time.process_time()
    time.sleep(1)
    print(f"    CPU time of a second: {(time.process_time() - began) * 1000:.0f} ms")
    clients[-1].sendall(b"hello")
    heard = clients[-1].recv(5) if select.select(clients[-1:], [], [], 0.5)[0] else "nothing"
    print(f"    client 6 says hello, and hears {heard}")
