"""What becomes of datagrams: cut, refused, dropped. Loopback only, and nothing to be set up."""

import contextlib
import socket
import time


def receiver(room: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.bind(("127.0.0.1", 0))  # port 0: any that is free
    sock.setblocking(False)
    return sock


def drops(sock: socket.socket) -> int:
    """As the kernel counts them, in the last column of /proc/net/udp."""
    port = f":{sock.getsockname()[1]:04X}"
    with open("/proc/net/udp", encoding="ascii") as table:
        return next(int(row.split()[-1]) for row in table if row.split()[1].endswith(port))


def take(sock: socket.socket, size: int) -> str:
    try:
        return f"{len(sock.recv(size)):,} bytes"
    except BlockingIOError:
        return "nothing: it would wait"


client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

print("1. One datagram of 1,472 bytes:")
with receiver() as server:
    print("   sendto() says", client.sendto(bytes(1472), server.getsockname()))
    print("   recvfrom(1024):", take(server, 1024))
    print("   recvfrom(1024):", take(server, 1024))

print("2. Two of 3 bytes, and one of none:")
with receiver() as server:
    for data in (b"abc", b"def", b""):
        client.sendto(data, server.getsockname())
    print("   recvfrom(1024):", ", ".join(take(server, 1024) for _ in range(3)))
    nobody = server.getsockname()

print("3. Nobody is at the port any more:")
print("   sendto() says", client.sendto(b"hello", nobody), "and nothing else is heard, ever")
client.connect(nobody)
for times in ("send()", "send() again"):
    time.sleep(0.05)
    try:
        print("   connected:", times, "says", client.send(b"hello"))
    except ConnectionRefusedError as error:
        print("   connected:", times, "says", error.strerror)

print("4. 1,000 of 100 bytes, and a server that is busy:")
with receiver(room=16_384) as server, contextlib.suppress(OSError):
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = sum(other.sendto(bytes(100), server.getsockname()) == 100 for _ in range(1000))
    print(f"   sendto() took {sent:,}; the kernel dropped {drops(server):,} at the receiver")
