"""One stream, and what recv() gives of it. Loopback only, and nothing to be set up."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable


def connected() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new connection; each send() of the client goes out at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client, listener.accept()[0]


def send_each(client: socket.socket, messages: Iterable[bytes]) -> None:
    for message in messages:
        client.send(message)


def sizes(server: socket.socket, total: int, size: int) -> list[int]:
    """Of what recv(size) returns, until there is no more to come."""
    came: list[int] = []
    while sum(came) < total:
        came.append(len(server.recv(size)))
    return came


ONES = [b"x"] * 1000

print("1. 1,000 times send() of one byte; recv(1024) at the same time:")
client, server = connected()
sender = threading.Thread(target=send_each, args=(client, ONES))
sender.start()
came = sizes(server, 1000, 1024)
sender.join()
usual = ", ".join(f"{times} x {size}" for size, times in sorted(Counter(came).items())[:5])
print(f"   {len(came)} calls, the largest gave {max(came)}; {usual}, ...")

print("2. The same; recv(1024) when all is sent:")
send_each(client, ONES)
time.sleep(0.1)
print(f"   {len(sizes(server, 1000, 1024))} call")

print("3. send(b'user=ann'), send(b'quit'); recv(1024) a moment later:")
send_each(client, [b"user=ann", b"quit"])
time.sleep(0.1)
print(f"   {server.recv(1024)!r}")

print("4. One send() of 150,000 bytes; recv(65536):")
client.sendall(bytes(150_000))
print("  ", " + ".join(f"{size:,}" for size in sizes(server, 150_000, 65536)))
