"""Who waits for whom in a room of the starter while one member does not read."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HELD = "futex(): a lock that another one holds"
CALLS = {"44": "send", "45": "recv", "202": HELD, "288": "accept()"}  # of x86_64
CALLS |= {"206": "send", "207": "recv", "98": HELD, "242": "accept()"}  # of aarch64


def enter(port, name):
    member = socket.socket()
    member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096 if name == "Bob" else 100_000)
    member.connect(("127.0.0.1", port))
    member.sendall(f"{name}\n".encode())
    time.sleep(0.2)  # until it is in the room
    return member


def whose(pid, fd, names):
    inode = os.readlink(f"/proc/{pid}/fd/{fd}").strip("socket:[]")
    rows = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
    port = next(int(row[2].split(":")[1], 16) for row in rows if row[9] == inode)
    return next(name for each, name in names.items() if each.getsockname()[1] == port)


def show(pid, names):
    for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
        words = Path(f"/proc/{pid}/task/{thread}/syscall").read_text().split()
        call = CALLS.get(words[0], words[0])
        if call in ("send", "recv"):
            call += f"() on the connection of {whose(pid, int(words[1], 16), names)}"
        print(f"  a thread in {call}")


port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]  # and closed again
starter = Path(__file__).with_name("server0.py")
with subprocess.Popen([sys.executable, starter, "127.0.0.1", str(port)]) as room:
    time.sleep(0.5)
    ann, bob, cleo = (enter(port, name) for name in ("Ann", "Bob", "Cleo"))
    names = {ann: "Ann", bob: "Bob", cleo: "Cleo"}
    print("Three members, and nobody says a word:")
    show(room.pid, names)
    taken = time.monotonic()
    while time.monotonic() - taken < 0.5:  # until nothing more is taken of Ann
        with contextlib.suppress(BlockingIOError):
            ann.send(b"x" * 99_999 + b"\n", socket.MSG_DONTWAIT)
            taken = time.monotonic()
        with contextlib.suppress(BlockingIOError):
            cleo.recv(1_000_000, socket.MSG_DONTWAIT)
    cleo.sendall(b"Ann, can you hear me?\n")
    time.sleep(0.2)
    print("Bob does not read. Ann has talked until no more was taken; Cleo says a line:")
    show(room.pid, names)
    room.kill()
