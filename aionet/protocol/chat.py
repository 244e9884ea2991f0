"""A chat room over newline-delimited text: the "Budget Chat" rules (Protohackers, problem 3).

A peer is greeted, and its first line is its name. Then every line that it sends reaches
every other named member as `[name] text`; its coming and going are announced with `* `.
An error is one line that begins with `! `, and a close. Unnamed peers receive nothing else
and are never announced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aionet.given import check_whole
from aionet.protocol.framing import LineReader
from aionet.protocol.service import CLOSE, OVERSIZE, Answer, Close, Delivery, Service

LINE_LIMIT = 4096  # bytes, without the line end
FEW = 64  # lines that are said at once; more are said as they are taken
PIECE = 4096  # bytes of these that are said together

_GREETING = b"* Welcome to the room. What is your name?\n"
_NAME = re.compile(rb"[A-Za-z0-9]{1,32}")
# Control characters (C0, DEL, C1) but the tab: they move cursors and ring bells in terminals.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class _Visitor:
    """What the room knows of one peer."""

    __slots__ = ("lines", "tag")

    def __init__(self, limit: int) -> None:
        self.lines = LineReader(limit)
        self.tag = b""  # b"[name] ", once it has a name


class Room(Service):
    """Who is in, and who gets what.

    `line_limit` is in bytes, without the line end. A message is encoded once, and every
    member is handed the same bytes object.
    """

    one_process = True  # members of different processes would never meet

    def __init__(self, *, line_limit: int = LINE_LIMIT) -> None:
        check_whole("line_limit", line_limit)
        self._line_limit = line_limit
        self._visitors: dict[Any, _Visitor] = {}
        self._members: dict[Any, str] = {}  # the named ones, in the order they came in

    @property
    def names(self) -> list[str]:
        """The names of the members, in the order they came in."""
        return list(self._members.values())

    def connect(self, peer: Any) -> Answer:
        self._visitors[peer] = _Visitor(self._line_limit)
        return _GREETING

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        visitor = self._visitors.get(peer)
        if visitor is None:  # refused before; the shell is closing it
            return None
        lines = visitor.lines.receive_data(data)
        if len(lines) == 1 and visitor.tag and not visitor.lines.too_long:
            others = [member for member in self._members if member is not peer]
            return [(others, visitor.tag + _printable(lines[0]) + b"\n")]
        said = self._hear(peer, visitor, lines)
        return list(said) if len(lines) <= FEW and len(data) <= PIECE else said

    def _hear(self, peer: Any, visitor: _Visitor, lines: list[bytes]) -> Iterator[Delivery]:
        """Many lines as they are taken: a short one becomes a long one for all others."""
        piece = b""
        for line in lines:
            if visitor.tag:
                piece += visitor.tag + _printable(line) + b"\n"
                if len(piece) >= PIECE:
                    yield [member for member in self._members if member is not peer], piece
                    piece = b""
            elif refusal := self._refusal(line):
                yield from self._refuse(peer, refusal)
                return
            else:
                yield from self._enter(peer, visitor, line)
        if piece:
            yield [member for member in self._members if member is not peer], piece
        if visitor.lines.too_long:
            too_long = f"line is over {self._line_limit} bytes"
            yield from self._refuse(peer, too_long, OVERSIZE)

    def receive_eof(self, peer: Any) -> Answer:
        if peer not in self._visitors:
            return None
        return [*self._leave(peer), (peer, CLOSE)]

    def unfinished(self, peer: Any) -> int | None:
        visitor = self._visitors.get(peer)
        return visitor.lines.unfinished if visitor else None

    def _refusal(self, name: bytes) -> str | None:
        if not _NAME.fullmatch(name):
            return "a name is 1 to 32 letters and digits"
        if name.decode() in self._members.values():
            return f"the name {name.decode()} is in use; choose another"
        return None

    def _refuse(self, peer: Any, reason: str, close: Close = CLOSE) -> list[Delivery]:
        return [*self._leave(peer), (peer, f"! {reason}\n".encode()), (peer, close)]

    def _enter(self, peer: Any, visitor: _Visitor, line: bytes) -> list[Delivery]:
        name = line.decode()
        roster = f"* The room contains: {', '.join(self._members.values())}\n".encode()
        announcement = f"* {name} has entered the room\n".encode()
        deliveries: list[Delivery] = [([*self._members], announcement), (peer, roster)]
        self._members[peer] = name
        visitor.tag = f"[{name}] ".encode()
        return deliveries

    def _leave(self, peer: Any) -> list[Delivery]:
        del self._visitors[peer]
        name = self._members.pop(peer, None)
        if name is None:
            return []
        return [([*self._members], f"* {name} has left the room\n".encode())]


def _printable(line: bytes) -> bytes:
    """`line` as UTF-8 that is safe on a terminal, and no longer: what is not becomes `?`."""
    text = line.decode("utf-8", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return line
    return _CONTROL.sub("?", text.replace("\ufffd", "?")).encode()
