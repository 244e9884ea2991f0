"""A subset of Redis (PING, ECHO, GET, SET, DEL, INCR) over RESP, as a service."""

import sys

from resp import Requests, is_number

import aionet

ROOM, EACH = 256 * 1024 * 1024, 200  # bytes of all keys and values; what each takes besides


class Database(aionet.Service):
    one_process = True  # another process would have another dictionary

    def __init__(self) -> None:
        self.db: dict[bytes, bytes] = {}
        self.room = ROOM
        self.requests: dict[aionet.Peer, Requests] = {}

    def connect(self, peer: aionet.Peer) -> None:
        self.requests[peer] = Requests()

    def receive_eof(self, peer: aionet.Peer) -> aionet.Answer:
        del self.requests[peer]
        return aionet.CLOSE

    def unfinished(self, peer: aionet.Peer) -> int | None:
        return self.requests[peer].unfinished if peer in self.requests else None

    def receive_data(self, peer: aionet.Peer, data: bytes) -> aionet.Answer:
        pieces = self.requests[peer].receive_data(data, self.answer)
        if piece := next(pieces):  # all that there is
            return piece
        # Made as they are taken, and none is kept, as by a generator that waits.
        return map(lambda each: (peer, each), pieces)  # noqa: C417

    def answer(self, command: bytes, words: list[bytes]) -> bytes:
        match command, words:
            case b"PING", []:
                return b"+PONG\r\n"
            case b"PING" | b"ECHO", [text]:
                return b"$%d\r\n%b\r\n" % (len(text), text)
            case b"GET", [key]:
                value = self.db.get(key)
                return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
            case b"SET", [key, value]:
                return self.put(key, value, b"+OK\r\n")
            case b"DEL", keys:
                return b":%d\r\n" % sum(self.take(key) for key in keys)
            case b"INCR", [key]:
                return self.answer(b"INCRBY", [key, b"1"])
            case b"INCRBY", [key, by] if is_number(by) and is_number(self.db.get(key, b"0")):
                total = b"%d" % (int(self.db.get(key, b"0")) + int(by))
                return self.put(key, total, b":%b\r\n" % total)
        return b"-ERR no such command, or not on this key: %b\r\n" % command[:64]

    def put(self, key: bytes, value: bytes, said: bytes) -> bytes:
        room = self.room + self.size(key) - EACH - len(key) - len(value)
        if room < 0:
            return b"-OOM there is no room for it\r\n"
        self.db[key], self.room = value, room
        return said

    def take(self, key: bytes) -> bool:
        self.room += self.size(key)
        return self.db.pop(key, None) is not None

    def size(self, key: bytes) -> int:
        return EACH + len(key) + len(self.db[key]) if key in self.db else 0


if __name__ == "__main__":
    raise SystemExit(aionet.run(sys.argv[1], factory=Database, loop="uvloop"))
