"""Echo on socketserver: a handler per connection, each in a thread of its own."""

from __future__ import annotations

import socketserver

from ready import port_asked_for, say_ready


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(64 * 1024):
            self.request.sendall(data)


with socketserver.ThreadingTCPServer(("127.0.0.1", port_asked_for()), Echo) as server:
    say_ready(server.server_address[1])
    server.serve_forever()
