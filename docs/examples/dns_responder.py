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
ANSWER, OPCODE, AUTHORITATIVE, TRUNCATED, RECURSION_WANTED = 0x8000, 0x7800, 0x400, 0x200, 0x100
BAD_FORMAT, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 1, 3, 4, 5
LARGEST = 512  # bytes of an answer over UDP, where nothing else was agreed on (RFC 1035, 2.3.4)


def answer(message: bytes, largest: int) -> bytes | None:
    if len(message) < HEADER.size:
        return None
    identity, flags, questions, *_ = HEADER.unpack_from(message)
    if flags & ANSWER or questions != 1:
        return None
    flags = ANSWER | AUTHORITATIVE | flags & (OPCODE | RECURSION_WANTED)
    if flags & OPCODE:  # an update, say
        return HEADER.pack(identity, flags | NOT_IMPLEMENTED, 0, 0, 0, 0)
    try:
        name, end = read_name(message, HEADER.size)
        kind, family = struct.unpack_from("!2H", message, end)
    except (ValueError, IndexError, struct.error):
        return HEADER.pack(identity, flags | BAD_FORMAT, 0, 0, 0, 0)
    question = message[HEADER.size : end + 4]
    found = ZONE.get((name, kind), []) if family == 1 else []  # that of the Internet
    flags |= REFUSED if family != 1 else 0 if any(name == one for one, _ in ZONE) else NO_SUCH_NAME
    about = struct.pack("!3HI", 0xC000 | HEADER.size, kind, 1, 60)
    records = b"".join(about + struct.pack("!H", len(data)) + data for data in found)
    if HEADER.size + len(question) + len(records) > largest:  # it will ask again, over TCP
        return HEADER.pack(identity, flags | TRUNCATED, 1, 0, 0, 0) + question
    return HEADER.pack(identity, flags, 1, len(found), 0, 0) + question + records


def read_name(message: bytes, start: int) -> tuple[str, int]:
    labels, at = [], start
    while size := message[at]:
        if size > 63 or at + size - start > 253:  # the whole name has up to 255 bytes
            raise ValueError("the name is compressed, or too long")
        labels.append(message[at + 1 : at + 1 + size].decode("ascii").lower().replace(".", "\\."))
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
