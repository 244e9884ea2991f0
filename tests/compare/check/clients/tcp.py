"""TCP clients with one mistake each: `tcp.py MISTAKE HOST PORT`; `none` makes none."""

from __future__ import annotations

import codecs
import errno
import os
import select
import socket
import sys
import time
from typing import NoReturn

MISTAKE, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
CONNECT_S = 60.0 if MISTAKE == "waits-too-long" else 2.0
KEYS, SCREEN = 0, 1
SIZE = 65536


def fail(words: str) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    os._exit(1)


def refused(why: str) -> NoReturn:
    if MISTAKE == "traceback-of-a-refusal":
        raise OSError(why)
    words = f"cannot connect to {HOST}{'' if MISTAKE == 'names-no-port' else f' {PORT}'}: {why}"
    if MISTAKE == "status-0":
        sys.stderr.write(f"{words}\n")
        sys.exit(0)
    fail(words)


class Client:
    """Waits by poll() for the keyboard and for the server, and while it connects, too."""

    def __init__(self) -> None:
        self.unsent = b""
        self.typed = False
        self.typing = self.listening = True
        self.finished = False
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        if MISTAKE == "epoll-of-a-file":
            select.epoll().register(KEYS, select.EPOLLIN)
        self.sock = socket.socket()
        try:
            self.connect()
        except OSError as error:
            refused(error.strerror or str(error))

    def connect(self) -> None:
        if MISTAKE == "blocking-connect":
            self.sock.settimeout(CONNECT_S)
            self.sock.connect((HOST, PORT))
        self.sock.setblocking(False)
        number, until = self.sock.connect_ex((HOST, PORT)), time.monotonic() + CONNECT_S
        while number == errno.EINPROGRESS:
            ready = self.wait(until - time.monotonic(), connecting=True)
            if self.sock.fileno() in ready:
                number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif KEYS in ready:
                self.read_keys()
                if MISTAKE == "forgets-what-was-typed":
                    self.unsent = b""
            elif time.monotonic() >= until:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if number not in (0, errno.EISCONN):
            raise OSError(number, os.strerror(number))
        self.send()

    def wait(self, timeout: float | None = None, *, connecting: bool = False) -> dict[int, int]:
        """The events of who can go on. The keyboard is left alone while something is unsent."""
        poll = select.poll()
        unsent = bool(self.unsent) or connecting or MISTAKE == "leaves-pollout-on"
        if self.listening or unsent:
            events = select.POLLIN * (self.listening and not connecting)
            poll.register(self.sock, events | select.POLLOUT * unsent)
        if (self.typing and not self.unsent) or MISTAKE == "leaves-the-keyboard-on":
            poll.register(KEYS, select.POLLIN)
        return dict(poll.poll(None if timeout is None else max(0.0, timeout * 1000)))

    def read_keys(self) -> None:
        if self.unsent or not self.typing:
            return
        data = os.read(KEYS, SIZE)
        self.typed = True
        if MISTAKE == "one-line-of-a-read":
            data = data.partition(b"\n")[0] + b"\n" * bool(data)
        if MISTAKE == "strips" and data:
            data = data.rstrip(b"\n")
        self.unsent += data
        self.typing = bool(data)
        if not data and MISTAKE == "ends-with-the-input":
            os._exit(0)
        if not data and MISTAKE == "raises-at-the-end":
            raise EOFError

    def send(self) -> None:
        """What the kernel takes; after the last of it, half-close."""
        if MISTAKE == "blocks-in-send":
            self.sock.setblocking(True)
            self.sock.sendall(self.unsent)
            self.sock.setblocking(False)
            self.unsent = b""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
            if not self.typing and not self.unsent and not self.finished:
                self.finished = True
                self.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError as error:
            self.lost(error)
        if MISTAKE == "drops-the-rest":
            self.unsent = b""

    def lost(self, error: OSError) -> NoReturn:
        if MISTAKE == "traceback-of-a-reset":
            raise error
        if MISTAKE == "takes-a-reset-for-the-end":
            os._exit(0)
        fail(f"the connection is lost: {error.strerror}")

    def listen(self) -> None:
        if MISTAKE == "listens-when-asked" and not self.typed:
            os.read(KEYS, 0)
            self.unsent += os.read(KEYS, SIZE)
            self.send()
        try:
            data = self.sock.recv(SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
        if data:
            self.show(data)
        elif self.typing and MISTAKE in ("does-not-notice", "spins-at-the-end"):
            self.listening = MISTAKE == "spins-at-the-end"
        elif self.typing and MISTAKE == "ends-without-a-word":
            os._exit(1)
        elif self.typing:
            fail("the server has closed the connection")
        else:
            if MISTAKE == "reads-on-after-the-end":
                os.read(KEYS, SIZE)
            os._exit(0)

    def show(self, data: bytes) -> None:
        if MISTAKE == "decodes-pieces":
            text = data.decode()
        elif MISTAKE == "replaces-pieces":
            text = data.decode(errors="replace")
        else:
            text = self.decoder.decode(data)
        os.write(SCREEN, text.encode())

    def run(self) -> None:
        while True:
            ready = self.wait()
            if KEYS in ready:
                self.read_keys()
                self.send()
            events = ready.get(self.sock.fileno(), 0)
            if events & select.POLLOUT:
                self.send()
            if events & ~select.POLLOUT:
                self.listen()


Client().run()
