"""An echo by datagrams: server.py HOST PORT."""

import contextlib
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
try:
    sock.bind((host, port))
except OSError as error:
    sys.exit(f"cannot have port {port} at {host}: {error.strerror}")
while True:
    # asked: to which of this machine's addresses it was sent; so the answer comes from there.
    data, asked, _, sender = sock.recvmsg(65535, 100)
    with contextlib.suppress(OSError):  # who cannot be answered is the loss of nobody else
        sock.sendmsg([data], asked, 0, sender)
