"""One stream, and what recv() gives of it. Loopback only, and nothing to be set up."""

import socket
import threading
import time
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


def calls_for_a_thousand() -> int:
    """A thousand times send() of one byte, and recv() in another thread at the same time."""
    sender = threading.Thread(target=send_each, args=(client, [b"x"] * 1000))
    sender.start()
    calls = len(sizes(server, 1000, 1024))
    sender.join()
    return calls


client, server = connected()

print("1. 1,000 times send() of one byte; recv(1024) meanwhile, five times over:")
print("  ", ", ".join(str(calls_for_a_thousand()) for _ in range(5)), "calls")

print("2. The same; recv(1024) when all is sent:")
send_each(client, [b"x"] * 1000)
time.sleep(0.1)
print("  ", len(sizes(server, 1000, 1024)), "call")

print("3. send(b'user=ann'), send(b'quit'); recv(1024) a moment later:")
send_each(client, [b"user=ann", b"quit"])
time.sleep(0.1)
print(f"   {server.recv(1024)!r}")

print("4. One send() of 150,000 bytes; recv(65536):")
client.sendall(bytes(150_000))
print("  ", " + ".join(f"{size:,}" for size in sizes(server, 150_000, 65536)))
