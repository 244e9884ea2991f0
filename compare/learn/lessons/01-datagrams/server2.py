"""An echo by datagrams: server.py HOST PORT."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    sock.bind((host, port))
except OSError as error:
    sys.exit(f"cannot have port {port} at {host}: {error.strerror}")
while True:
    data, sender = sock.recvfrom(65535)
    sock.sendto(data, sender)
