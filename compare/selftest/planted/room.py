"""The least that is a chat room, with a fault: `room.py FAULT [AFTER [TIMES]]`.

The fault shows after AFTER lines, and then after as many again, TIMES times. On SIGTERM it
says on stdout, as JSON, how often it did what.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter

FAULT = sys.argv[1]
AFTER = int(sys.argv[2]) if len(sys.argv) > 2 else 1
TIMES = int(sys.argv[3]) if len(sys.argv) > 3 else 1
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST

did: Counter[str] = Counter()
selector = selectors.DefaultSelector()
names: dict[socket.socket, bytes] = {}
unread: dict[socket.socket, bytes] = {}
outside: list[tuple[socket.socket, bytes]] = []  # named, and not let in yet
held: dict[socket.socket, bytes] = {}


def is_due() -> bool:
    did["lines"] += 1
    if did["lines"] % AFTER or did["faults"] == TIMES:
        return False
    did["faults"] += 1
    return True


def tell(member: socket.socket, text: bytes) -> None:
    if FAULT == "own-words":  # which is none
        text = text.replace(b"\n", b" \r\n")
    with contextlib.suppress(ConnectionError):  # its end will be read
        member.sendall(text)


def let_in(member: socket.socket, name: bytes) -> None:
    roster, came = b"* The room contains: %s\n", b"* %s has entered the room\n"
    if FAULT == "own-words":
        roster, came = b"*%s are here\n", b"*%s came in\n"
    tell(member, roster % b", ".join(names.values()))
    for other in names:
        tell(other, came % name)
    names[member] = name


def named(member: socket.socket, name: bytes) -> None:
    if FAULT == "refuses-names":
        did["faults"] += 1
        tell(member, b"that name will not do\n")
    elif FAULT == "restless":  # the second is never let in, while the first hears no end of it
        if not names:
            let_in(member, name)
            threading.Thread(target=keep_on, args=(member,), daemon=True).start()
    elif FAULT == "third-waits" and len(names) == 2:
        outside.append((member, name))
    else:
        let_in(member, name)


def keep_on(member: socket.socket) -> None:
    while True:
        tell(member, b"* somebody is at the door\n")
        time.sleep(0.1)


def said(member: socket.socket, line: bytes) -> None:
    text = b"[%s] %s\n" % (names[member], line)
    others = [other for other in names if other is not member]
    due = is_due()
    if not due:
        pass
    elif FAULT == "loses":
        others.pop()
    elif FAULT == "duplicates":
        tell(others[-1], text)
    elif FAULT == "dies":
        os._exit(3)
    elif FAULT == "comes-back":
        tell(member, text)
    elif FAULT == "garbles":
        tell(others.pop(), text.replace(b".", b",", 1))
    elif FAULT == "reorders" and not held:
        held[others.pop()] = text
        did["reordered"] += 1
    elif FAULT in ("resets", "leaves"):
        if FAULT == "resets":
            others[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        close(others.pop())
    elif FAULT == "third-waits":
        let_in(*outside.pop())
    for other in others:
        tell(other, text)
        if other in held:
            tell(other, held.pop(other))


def close(member: socket.socket) -> None:
    selector.unregister(member)
    name = names.pop(member, None)
    del unread[member]
    member.close()
    if name is not None:
        for other in names:
            tell(other, b"* %s has left the room\n" % name)


def accept(listener: socket.socket) -> None:
    member, _ = listener.accept()
    member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unread[member] = b""
    selector.register(member, selectors.EVENT_READ, receive)
    if FAULT != "silent":
        tell(member, b"* Who are you?\n")


def receive(member: socket.socket) -> None:
    try:
        data = member.recv(65536)
    except ConnectionResetError:
        data = b""
    if not data:
        close(member)
        return
    *lines, unread[member] = (unread[member] + data).split(b"\n")
    for line in lines:
        (said if member in names else named)(member, line)


def report(*signal_and_frame: object) -> None:
    os.write(1, json.dumps(did).encode())
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, report)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        selector.register(listener, selectors.EVENT_READ, accept)
        os.write(1, b"READY tcp://127.0.0.1:%d\n" % listener.getsockname()[1])
        while True:
            for key, _ in selector.select():
                if selector.get_map().get(key.fd) == key:
                    key.data(key.fileobj)


main()
