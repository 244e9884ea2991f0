"""Asks an echo by datagrams: client.py HOST PORT; types a line, gets its answer."""

import socket
import sys

server = sys.argv[1], int(sys.argv[2])
WAITS = 0.1, 0.2, 0.4, 0.8, 1.6, 3.2  # seconds, each twice the one before

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ask(question):
    for wait in WAITS:
        sock.settimeout(wait)
        sock.sendto(question, server)
        try:
            answer, _ = sock.recvfrom(65535)
        except TimeoutError:
            continue
        return answer
    return None


for line in sys.stdin:
    if answer := ask(line.encode()):
        print(answer.decode(), end="", flush=True)
