"""Chat servers with one mistake each: `chat.py MISTAKE PORT`; `none` makes none."""

from __future__ import annotations

import logging
import random
import sys
from typing import Any

import aionet
from aionet.address import Address
from aionet.listen_errors import explaining
from aionet.protocol import Room
from aionet.protocol.framing import LineReader

MISTAKE, PORT = sys.argv[1], int(sys.argv[2])
Deliveries = list[tuple[Any, Any]]

ROSTER = "* The room contains:"


def pairs(peer: Any, answer: Any) -> Deliveries:
    """What is said to whom, one by one."""
    if answer is None:
        return []
    if isinstance(answer, bytes):
        return [(peer, answer)]
    return [(each, what) for to, what in answer for each in (to if type(to) is list else [to])]


def is_line(what: Any) -> bool:
    return isinstance(what, bytes) and what.startswith(b"[")


class Mistaken(Room):
    """The room, with one thing changed in what it says."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._held: Deliveries = []
        self._ghosts: set[str] = set()
        self._junk: set[Any] = set()  # who has said some
        self._kept: list[bytes] = []

    def connect(self, peer: Any) -> Any:
        if MISTAKE == "announces-the-unnamed":
            told = [(member, b"* somebody has entered the room\n") for member in self._members]
            return [*pairs(peer, super().connect(peer)), *told]
        return super().connect(peer)

    def receive_data(self, peer: Any, data: bytes) -> Any:
        if MISTAKE == "lines-are-reads" and peer in self._members:
            self._visitors[peer].lines = LineReader(4096)
            data = data if data.endswith(b"\n") else data + b"\n"
        if MISTAKE == "keeps-what-has-no-end" and len(data) > 4096 and b"\n" not in data:
            self._kept.append(data)
            return []
        if MISTAKE == "keeps-who-says-junk" and not data.isascii():
            self._junk.add(peer)
        out = pairs(peer, super().receive_data(peer, data))
        if MISTAKE == "keeps-who-says-junk" and self._ghosts:
            ghosts = f"{ROSTER} {', '.join(self._ghosts)},".encode()
            out = [(to, what.replace(ROSTER.encode(), ghosts)) for to, what in out]
        self._number += 1
        lines = [each for each in out if is_line(each[1])]
        if MISTAKE == "tells-the-sender" and lines:
            out.append((peer, lines[0][1]))
        elif MISTAKE == "passes-junk-on" and lines and b"?" in lines[0][1]:
            out = [(member, b"[junk] \x1b\xff\n") for member, _ in lines]
        elif MISTAKE == "loses-some" and lines and not self._number % 100:
            out.remove(lines[-1])
        elif MISTAKE == "doubles-some" and lines and not self._number % 100:
            out.append(lines[-1])
        elif MISTAKE == "orders-differ" and len(self._members) > 10:
            out, self._held = self._delayed(out)
        return out

    def _delayed(self, out: Deliveries) -> tuple[Deliveries, Deliveries]:
        """Some hear what was said before only now, after what was said since."""
        held = [each for each in out if is_line(each[1]) and random.random() < 0.01]
        return [each for each in out if each not in held] + self._held, held

    def _refusal(self, name: bytes) -> str | None:
        if MISTAKE == "any-name":
            return None
        if MISTAKE == "keeps-names" and name.decode(errors="replace") in self._ghosts:
            return "the name is in use"
        return super()._refusal(name)

    def _leave(self, peer: Any) -> Any:
        name = self._members.get(peer)
        told = super()._leave(peer)
        if name is not None and (MISTAKE == "keeps-names" or peer in self._junk):
            self._ghosts.add(name)
        if MISTAKE == "forgets-goodbyes":
            return []
        return told * 2 if MISTAKE == "says-goodbye-twice" else told


logging.basicConfig(level=logging.ERROR)
address = Address.parse(f"tcp://127.0.0.1:{PORT}")
with explaining(address):
    sys.exit(aionet.run(Mistaken(), address))
