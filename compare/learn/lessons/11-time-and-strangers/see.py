"""Slowloris: 200 clients who never finish a line, at three servers; who else is answered?"""

import contextlib
import socket
import threading
import time

PLACES, SLOW, SECONDS = 80, 200, 4
FOREVER = 60


def serve(listener, idle, deadline):
    """One of the places: who is here keeps it until a line has come, or the time is over."""
    while True:
        with listener.accept()[0] as conn, contextlib.suppress(OSError):
            until, data = time.monotonic() + deadline, b""
            while b"\n" not in data:
                conn.settimeout(min(idle, max(0.001, until - time.monotonic())))
                data = conn.recv(100)  # raises TimeoutError
                if not data:
                    raise ConnectionError("it has left")
            conn.sendall(data)


def start(idle=FOREVER, deadline=FOREVER):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    for _ in range(PLACES):
        threading.Thread(target=serve, args=(listener, idle, deadline), daemon=True).start()
    return listener.getsockname()


def ask(where):
    stranger = socket.create_connection(where)
    stranger.sendall(b"hello\n")
    stranger.setblocking(False)
    return stranger


def is_answered(stranger):
    with contextlib.suppress(BlockingIOError):
        return bool(stranger.recv(100, socket.MSG_PEEK))
    return False


servers = {"no limit": start(), "idle 1 s": start(idle=1), "line 1 s": start(deadline=1)}
slow = [socket.create_connection(where) for where in servers.values() for _ in range(SLOW)]
print(f"Of the strangers who have asked by then, so many have been answered; {PLACES} places.")
print("           ", *(f"{name:>10}" for name in servers))
asked = {name: [] for name in servers}
began = time.monotonic()
for second in range(SECONDS + 1):
    for name, where in servers.items():
        asked[name].append(ask(where))
    while time.monotonic() < began + second + 0.6:
        for each in slow:
            with contextlib.suppress(OSError):  # it may have been sent away
                each.send(b"x")
        time.sleep(0.2)
    counts = (sum(map(is_answered, who)) for who in asked.values())
    print(f"after {second}.5 s", *(f"{count:5} of {second + 1}" for count in counts))
