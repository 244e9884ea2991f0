"""What epoll has on its list, from /proc, and what it says: level and edge."""

import select
import socket
from pathlib import Path

NAMES = {0x1: "IN", 0x4: "OUT", 0x80000000: "ET"}  # ERR and HUP are told unasked
epoll = select.epoll()
listener = socket.create_server(("127.0.0.1", 0))


def words(events):
    return "|".join(name for bit, name in NAMES.items() if events & bit) or "nothing"


def listed(conn):
    """For what `conn` is watched, as the kernel has it: a line `tfd: 5 events: 19 ...`."""
    for line in Path(f"/proc/self/fdinfo/{epoll.fileno()}").read_text().splitlines():
        if line.startswith("tfd:") and int(line.split()[1]) == conn.fileno():
            return words(int(line.split()[3], 16))
    return "nothing"


def show(what, conn):
    told = dict(epoll.poll(0.2)).get(conn.fileno(), 0)
    print(f"  {what:46} list: {listed(conn):9} told: {words(told)}")


def level_and_edge(title, events):
    client = socket.create_connection(listener.getsockname())
    conn, _ = listener.accept()
    conn.setblocking(False)
    epoll.register(conn, events)
    print(title)
    client.sendall(b"0123456789")
    show("ten bytes come", conn)
    conn.recv(4)
    show("four are read, six are there", conn)
    epoll.modify(conn, events)
    show("the same is asked for anew (EPOLL_CTL_MOD)", conn)
    client.sendall(b"!")
    show("one more comes", conn)
    conn.recv(100)
    show("all are read", conn)
    if events & select.EPOLLET == 0:
        epoll.modify(conn, select.EPOLLIN | select.EPOLLOUT)
        show("OUT is asked for, with nothing to send", conn)
    conn.close()
    client.close()


level_and_edge("level-triggered:", select.EPOLLIN)
level_and_edge("edge-triggered:", select.EPOLLIN | select.EPOLLET)
