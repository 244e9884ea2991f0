"""Members who all talk at the same time, and what each of them hears."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence

from compare.check.bench import Bench
from compare.check.failure import Failed
from compare.check.wire import PIECE, Wire


def talk(
    bench: Bench,
    members: Mapping[str, Wire],
    said: Mapping[str, Sequence[str]],
    ahead: int | None = None,
) -> dict[str, list[str]]:
    """Each says its lines, in turn with the others; the lines of `[name] text` that each heard.

    ahead: of how many lines of each sender some may not have been heard yet (default: of all).
    Raises Failed where they do not all come; what comes too often is for the caller to see.
    """
    talking = _Talk(bench, members)
    with talking.epoll:
        for number in range(max(map(len, said.values()))):
            for name, lines in said.items():
                if number < len(lines):
                    members[name].say(lines[number])
            talking.hear(0)
            if ahead is not None:
                talking.hear_until(_lines_of_others(members, said, max(0, number + 1 - ahead)))
        talking.hear_until(_lines_of_others(members, said))
    return {name: talking.lines(name) for name in members}


def _lines_of_others(
    members: Mapping[str, Wire], said: Mapping[str, Sequence[str]], each: int | None = None
) -> dict[str, int]:
    """How many each member hears when every sender has said the first `each` of its lines."""
    count = {name: len(lines[:each]) for name, lines in said.items()}
    return {name: sum(count.values()) - count.get(name, 0) for name in members}


class _Talk:
    """The bytes that each has heard."""

    def __init__(self, bench: Bench, members: Mapping[str, Wire]) -> None:
        self.patience = 5 * bench.patience
        self.epoll = select.epoll()
        self._names = {wire.sock.fileno(): name for name, wire in members.items()}
        self._wires = members
        self._heard = {name: bytearray(b"\n") for name in members}
        for fd in self._names:
            self.epoll.register(fd, select.EPOLLIN)

    def hear(self, timeout: float) -> bool:
        """Whether anybody heard anything."""
        events = self.epoll.poll(timeout)
        for fd, _ in events:
            name = self._names[fd]
            try:
                data = self._wires[name].sock.recv(PIECE)
            except OSError as error:
                raise Failed("nobody to be dropped, as all do read", f"recv(): {error}") from None
            if not data:
                raise Failed("nobody to be dropped, as all do read", f"{name} was")
            self._heard[name] += data
        return bool(events)

    def hear_until(self, wanted: Mapping[str, int]) -> None:
        last, heard = time.monotonic(), 0
        while waiting := [name for name in wanted if not self._has(name, wanted[name])]:
            self.hear(0.2)
            if (now := sum(map(self._count, waiting))) != heard:  # whatever else may come
                last, heard = time.monotonic(), now
            elif time.monotonic() - last > self.patience:
                name = waiting[0]
                raise Failed(
                    f"the {wanted[name]:,} lines of the others for each",
                    f"{len(waiting)} did not hear all, {name} {self._count(name):,}",
                )

    def _has(self, name: str, wanted: int) -> bool:
        return self._heard[name].endswith(b"\n") and self._count(name) >= wanted

    def _count(self, name: str) -> int:
        """Lines that somebody said, as far as they have begun."""
        return self._heard[name].count(b"\n[")

    def lines(self, name: str) -> list[str]:
        text = self._heard[name].decode(errors="backslashreplace")
        return [line.rstrip() for line in text.split("\n") if line.startswith("[")]


def must_agree(actual: Sequence[str], expected: Sequence[str], what: str) -> None:
    """The same lines in the same order; `what` is said of them."""
    if list(actual) == list(expected):
        return
    known = set(expected)
    if strange := [line for line in actual if line not in known]:
        raise Failed(f"nothing but what the others said, {what}", f"{strange[0]!r} came")
    missing = len([line for line in expected if line not in set(actual)])
    extra = len(actual) - len(expected) + missing
    if missing or extra:
        raise Failed(f"every line exactly once, {what}", f"{missing} missing, {extra} too many")
    at = next(i for i, (a, b) in enumerate(zip(actual, expected, strict=True)) if a != b)
    raise Failed(f"every line, {what}", f"line {at} was {actual[at]!r} and not {expected[at]!r}")
