"""Echo by a thread for each connection, whose work is Python all the way: it reads JSON.

    python tests/yardstick/python_work.py PORT [PROCESSES]

For each message a document of 1 KB is read by what json has in Python (json.scanner), in place of
its C: dictionaries, strings, calls and exceptions, as a handler has them.
"""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import multiprocessing
import signal
import socketserver
import sys

READ = 64 * 1024  # bytes; a message of 1,000 comes whole
ITEM = {"id": 7, "name": "a name", "price": 12.5, "tags": ["new", "of the day"], "sold": False}
DOCUMENT = json.dumps({"items": [ITEM] * 10, "next": None})


class Decoder(json.JSONDecoder):
    """Without C."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_string = json.decoder.py_scanstring  # type: ignore[attr-defined]
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        decoder = Decoder()
        while data := self.request.recv(READ):
            decoder.decode(DOCUMENT)
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 1024
    daemon_threads = True


def main(port: int, processes: int = 1) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the others end with this one
    fork = multiprocessing.get_context("fork")
    with Server(("127.0.0.1", port), Echo) as server:
        for _ in range(processes - 1):
            fork.Process(target=server.serve_forever, daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
