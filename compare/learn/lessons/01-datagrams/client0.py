"""Asks an echo by datagrams: client.py HOST PORT; types a line, gets its answer."""

import socket
import sys

server = sys.argv[1], int(sys.argv[2])

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
for line in sys.stdin:
    sock.sendto(line.encode(), server)
    answer, sender = sock.recvfrom(65535)
    print(answer.decode(), end="", flush=True)
