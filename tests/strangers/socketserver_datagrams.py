"""UDP echo on socketserver, with the packet size that its UDPServer has by default."""

from __future__ import annotations

import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data, self.client_address)


with socketserver.UDPServer(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    server.serve_forever()
