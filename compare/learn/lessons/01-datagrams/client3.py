"""Asks an echo by datagrams: client.py HOST PORT; types a line, gets its answer."""

import socket
import sys
import time

server = sys.argv[1], int(sys.argv[2])
WAITS = 0.1, 0.2, 0.4, 0.8, 1.6, 3.2  # seconds, each twice the one before

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(server)  # sends nothing: from now on only the server is heard


def ask(question):
    for wait in WAITS:
        sock.send(question)
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                answer = sock.recv(65535)
            except TimeoutError:
                break
            if answer == question:  # or it is late, and answers another one
                return answer
    sys.exit(f"no answer from {server[0]} port {server[1]}")


try:
    for line in sys.stdin:
        print(ask(line.encode()).decode(), end="", flush=True)
except ConnectionRefusedError:
    sys.exit(f"nobody is at {server[0]} port {server[1]}")
