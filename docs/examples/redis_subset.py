"""A subset of Redis (PING, ECHO, GET, SET, DEL, INCR) over RESP, as a service."""

import sys

import aionet

LIMIT, KEYS = 1024 * 1024, 100_000  # bytes of a request; keys


class Database(aionet.Service):
    one_process = True  # another process would have another dictionary

    def __init__(self) -> None:
        self.db: dict[bytes, bytes] = {}
        self.parts: dict[aionet.Peer, bytearray] = {}  # of requests that are not whole

    def connect(self, peer: aionet.Peer) -> None:
        self.parts[peer] = bytearray()

    def receive_eof(self, peer: aionet.Peer) -> aionet.Answer:
        del self.parts[peer]
        return aionet.CLOSE

    def unfinished(self, peer: aionet.Peer) -> int | None:
        return 0 if self.parts.get(peer) else None

    def receive_data(self, peer: aionet.Peer, data: bytes) -> aionet.Answer:
        buffer = self.parts[peer]
        buffer += data
        answers, start = [], 0
        try:
            while request := parse(buffer, start):
                words, start = request
                answers.append(self.answer(words[0].upper(), words[1:]))
        except ValueError:
            return [(peer, b"".join([*answers, b"-ERR Protocol error\r\n"])), (peer, aionet.CLOSE)]
        del buffer[:start]
        return b"".join(answers)

    def answer(self, command: bytes, words: list[bytes]) -> bytes:
        match command, words:
            case b"PING", []:
                return b"+PONG\r\n"
            case b"PING" | b"ECHO", [text]:
                return b"$%d\r\n%b\r\n" % (len(text), text)
            case b"GET", [key] if (value := self.db.get(key)) is not None:
                return b"$%d\r\n%b\r\n" % (len(value), value)
            case b"GET", [_]:
                return b"$-1\r\n"
            case b"SET", [key, value] if key in self.db or len(self.db) < KEYS:
                self.db[key] = value
                return b"+OK\r\n"
            case b"DEL", keys:
                return b":%d\r\n" % sum(self.db.pop(key, None) is not None for key in keys)
            case b"INCR" | b"INCRBY", [key, *by] if self.db.get(key, b"0").lstrip(b"-").isdigit():
                self.db[key] = b"%d" % (int(self.db.get(key, b"0")) + int((by or [b"1"])[0]))
                return b":%b\r\n" % self.db[key]
        return b"-ERR no such command, or not on this key: %b\r\n" % command[:64]


def parse(buffer: bytearray, start: int) -> tuple[list[bytes], int] | None:
    if len(buffer) - start > LIMIT:
        raise ValueError("the request is too big")
    at, left, words = start, 1, list[bytes]()
    while left and (end := buffer.find(b"\r\n", at)) >= 0:
        kind, digits = bytes(buffer[at : at + 1]), buffer[at + 1 : end]
        if at == start and kind.isalpha():  # what a person types
            return bytes(buffer[start:end]).split(), end + 2
        if kind != (b"$" if at > start else b"*") or not digits.isdigit() or len(digits) > 7:
            raise ValueError("an array of strings is expected")
        if at == start:
            left, at = int(digits), end + 2
        else:
            at, left = end + 4 + int(digits), left - 1
            words.append(bytes(buffer[end + 2 : at - 2]))
    return (words, at) if words and not left and len(buffer) >= at else None


if __name__ == "__main__":
    raise SystemExit(aionet.run(sys.argv[1], factory=Database, loop="uvloop"))
