"""A DNS responder for one zone, over UDP and TCP (RFC 1035; RFC 7766 for TCP).

python docs/examples/dns_responder.py tcp+udp://127.0.0.1:7053
dig @127.0.0.1 -p 7053 www.example.test A
"""

import ipaddress
import struct
import sys

import aionet

ZONE = {
    ("www.example.test", 1): [ipaddress.ip_address("192.0.2.1").packed],
    ("www.example.test", 28): [ipaddress.ip_address("2001:db8::1").packed],
    ("many.example.test", 1): [bytes((192, 0, 2, last)) for last in range(1, 201)],
}
HEADER = struct.Struct("!6H")  # identity, flags, and how many questions, answers, and two more
ANSWER, AUTHORITATIVE, TRUNCATED, RECURSION_WANTED = 0x8000, 0x0400, 0x0200, 0x0100
BAD_FORMAT, NO_SUCH_NAME = 1, 3
LARGEST = 512  # bytes of an answer over UDP, where nothing else was agreed on (RFC 1035, 2.3.4)


def answer(message: bytes, largest: int) -> bytes | None:
    if len(message) < HEADER.size:
        return None
    identity, flags, questions, *_ = HEADER.unpack_from(message)
    if flags & ANSWER or questions != 1:
        return None
    flags = ANSWER | AUTHORITATIVE | flags & RECURSION_WANTED
    try:
        name, end = read_name(message, HEADER.size)
        kind, _ = struct.unpack_from("!2H", message, end)
    except (ValueError, IndexError, struct.error):
        return HEADER.pack(identity, flags | BAD_FORMAT, 0, 0, 0, 0)
    question = message[HEADER.size : end + 4]
    found = ZONE.get((name, kind), [])
    flags |= 0 if any(name == each for each, _ in ZONE) else NO_SUCH_NAME
    records = b"".join(
        struct.pack("!3HIH", 0xC000 | HEADER.size, kind, 1, 60, len(data)) + data for data in found
    )
    if HEADER.size + len(question) + len(records) > largest:  # it will ask again, over TCP
        return HEADER.pack(identity, flags | TRUNCATED, 1, 0, 0, 0) + question
    return HEADER.pack(identity, flags, 1, len(found), 0, 0) + question + records


def read_name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while size := message[at]:
        if size > 63:
            raise ValueError("a question has no compressed name")
        labels.append(message[at + 1 : at + 1 + size].decode("ascii").lower())
        at += 1 + size
    return ".".join(labels), at + 1


class Dns(aionet.Service):
    def __init__(self) -> None:
        self.streams: set[aionet.Peer] = set()

    def connect(self, peer: aionet.Peer) -> None:
        self.streams.add(peer)

    def receive_data(self, peer: aionet.Peer, message: bytes) -> aionet.Answer:
        if peer not in self.streams:
            return answer(message, LARGEST)
        said = answer(message, FRAMES.limit)
        return FRAMES.encode(said) if said else aionet.CLOSE

    def receive_eof(self, peer: aionet.Peer) -> aionet.Answer:
        self.streams.discard(peer)
        return aionet.CLOSE


FRAMES = aionet.LengthPrefixed(2, limit=65535)
LIMITS = aionet.Limits(udp_low_ports=True)  # resolvers may ask from port 53

if __name__ == "__main__":
    raise SystemExit(aionet.run(Dns(), *sys.argv[1:], framing=FRAMES, limits=LIMITS))
