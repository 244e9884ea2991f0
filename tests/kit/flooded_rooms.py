"""A room of a server of any model in which one member says much in one packet."""

from __future__ import annotations

import socket
import threading
from typing import Any

from deadline import DEADLINE_S

MEMBERS = 4
FLOOD = b"\n" * 65536 + b"that was all\n"
HEARD = b"[loud] \n" * 65536 + b"[loud] that was all\n"


def _join(address: Any, name: bytes) -> socket.socket:
    sock = socket.create_connection(address, DEADLINE_S)
    sock.sendall(name + b"\n")
    heard = b""
    while b"The room contains" not in heard or not heard.endswith(b"\n"):
        heard += sock.recv(4096)
    return sock


def heard_of_a_flood(address: Any) -> list[bytes]:
    """What each of the others, who read all the time, has of the one who says FLOOD."""
    members = [_join(address, b"m%d" % number) for number in range(MEMBERS)]
    loud = _join(address, b"loud")
    heard = [bytearray() for _ in members]

    def read(number: int) -> None:
        while not heard[number].endswith(b"that was all\n"):
            data = members[number].recv(1 << 20)
            if not data:
                return
            heard[number].extend(data)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(MEMBERS)]
    for reader in readers:
        reader.start()
    loud.sendall(FLOOD)
    for reader in readers:
        reader.join(DEADLINE_S)
    for sock in (loud, *members):
        sock.close()
    return [bytes(each).partition(b"loud has entered the room\n")[2] for each in heard]
