"""How connections end, by the states of both of their ends."""

import socket
import struct
import time
from pathlib import Path

STATES = {1: "ESTABLISHED", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 8: "CLOSE_WAIT"}
RESET = struct.pack("ii", 1, 0)
listener = socket.create_server(("127.0.0.1", 0))
PORT = listener.getsockname()[1]


def state(here, there):
    """What the kernel says of the end at port `here`; `-` if it has forgotten it."""
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, number = (int(word[-4:], 16) for word in row.split()[1:4])
        if (local, remote) == (here, there):
            return STATES[number]
    return "-"


def show(call, peer):
    time.sleep(0.1)  # an acknowledgement may be 40 ms late
    print(f"{call:36}{state(peer, PORT):14}{state(PORT, peer)}")


def begin(title):
    print(f"{title:36}{'client':14}server")
    client = socket.create_connection(("127.0.0.1", PORT))
    server, (_, peer) = listener.accept()
    return client, server, peer


client, server, peer = begin("The client ends first")
client.shutdown(socket.SHUT_WR)
show("  client: shutdown(SHUT_WR)", peer)
server.sendall(b"bye")
show(f"  server: send(), client has {client.recv(9).decode()}", peer)
server.close()
show("  server: close()", peer)

client, server, peer = begin("The server ends first")
server.close()
show("  server: close()", peer)
client.close()
show("  client: close()", peer)

for title, words, linger in (("Unread input", b"two", None), ("SO_LINGER 0", b"", RESET)):
    client, server, peer = begin(title)
    client.sendall(words)
    server.sendall(b"bye")
    if linger:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    server.close()
    show("  server: send(bye), close()", peer)
    try:
        print(f"  client: recv() = {client.recv(9).decode()}, then {client.recv(9)}")
    except OSError as error:
        print(f"  client: recv() = bye, then {error.strerror}")
