"""TCP clients with one mistake each: `tcp.py MISTAKE HOST PORT`; `none` makes none."""

from __future__ import annotations

import codecs
import errno
import os
import select
import socket
import sys
import time

MISTAKE, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
CONNECT_S = 60.0 if MISTAKE == "waits-for-ever" else 2.0
KEYS, SCREEN = 0, 1
SIZE = 65536
decoder = codecs.getincrementaldecoder("utf-8")("replace")


def fail(words: str) -> None:
    if MISTAKE == "traceback":
        raise OSError(words)
    sys.stderr.write("" if MISTAKE == "ends-silently" else f"{words}\n")
    os._exit(0 if MISTAKE == "status-0" else 1)


def show(data: bytes) -> None:
    if MISTAKE == "decodes-pieces":
        text = data.decode()
    elif MISTAKE == "replaces-pieces":
        text = data.decode(errors="replace")
    else:
        text = decoder.decode(data)
    if MISTAKE == "keeps-what-it-shows":
        kept.append(text)
        return
    os.write(SCREEN, text.encode())


kept: list[str] = []


class Client:
    def __init__(self) -> None:
        self.unsent = b""
        self.typing = True
        self.listening = True
        self.waits = select.poll()
        with select.epoll() as epoll:
            try:
                epoll.register(KEYS, select.EPOLLIN)
            except PermissionError:  # a file
                if MISTAKE == "epoll-of-a-file":
                    raise
        self.connect()

    def connect(self) -> None:
        """With the keyboard beside it, as long as it takes."""
        self.sock = socket.socket()
        where = f"{HOST} {'' if MISTAKE == 'names-no-port' else PORT}"
        if MISTAKE in ("blocking-connect", "epoll-error-at-connect"):
            self.sock.settimeout(CONNECT_S)
            try:
                self.sock.connect((HOST, PORT))
            except OSError as error:
                fail(f"cannot connect to {where}: {error}")
            self.sock.setblocking(False)
            return
        self.sock.setblocking(False)
        number, until = self.sock.connect_ex((HOST, PORT)), time.monotonic() + CONNECT_S
        while number == errno.EINPROGRESS:
            if MISTAKE == "takes-einprogress-for-an-error":
                fail(f"cannot connect to {where}: {os.strerror(number)}")
            ready = self.wait(until - time.monotonic(), connecting=True)
            if self.sock.fileno() in ready:
                number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                break
            if KEYS in ready:
                self.read_keys()
            if time.monotonic() >= until:
                fail(f"cannot connect to {where}: no answer in {CONNECT_S:g} s")
        if number:
            fail(f"cannot connect to {where}: {os.strerror(number)}")
        self.send()

    def wait(self, timeout: float | None = None, *, connecting: bool = False) -> dict[int, int]:
        poll = select.poll()
        spins = MISTAKE == "leaves-pollout-on"
        events = select.POLLIN * self.listening | select.POLLOUT * bool(self.unsent or spins)
        if events or connecting:
            poll.register(self.sock, select.POLLOUT if connecting else events)
        if (self.typing and not self.unsent) or MISTAKE == "leaves-the-keyboard-on":
            poll.register(KEYS, select.POLLIN)
        return dict(poll.poll(None if timeout is None else max(0.0, timeout * 1000)))

    def read_keys(self) -> None:
        if MISTAKE == "leaves-the-keyboard-on" and (self.unsent or not self.typing):
            return
        data = os.read(KEYS, SIZE)
        if MISTAKE == "one-line-of-a-read":
            data = data.partition(b"\n")[0] + b"\n" * bool(data)
        if MISTAKE == "strips":
            data = data.replace(b"\n", b"")
        self.unsent += data
        if not data:
            if MISTAKE == "ends-with-the-input":
                os._exit(0)
            if MISTAKE == "raises-at-the-end":
                raise EOFError
            self.typing = MISTAKE == "reads-on-after-the-end"

    def send(self) -> None:
        try:
            if MISTAKE == "blocks-in-send":
                self.sock.setblocking(True)
                self.sock.sendall(self.unsent)
                self.unsent = b""
            elif self.unsent:
                sent = self.sock.send(self.unsent)
                self.unsent = b"" if MISTAKE == "drops-the-rest" else self.unsent[sent:]
            if not self.typing and not self.unsent and MISTAKE != "no-half-close":
                self.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            if MISTAKE == "drops-the-rest":
                self.unsent = b""
        except OSError as error:
            self.lost(error)

    def lost(self, error: OSError) -> None:
        if MISTAKE == "traceback-of-a-reset":
            raise error
        if MISTAKE == "takes-a-reset-for-the-end":
            os._exit(0)
        fail(f"the connection is lost: {error.strerror}")

    def listen(self) -> None:
        try:
            data = self.sock.recv(SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
        if data:
            show(data)
        elif MISTAKE == "does-not-notice":
            self.listening = False
        elif MISTAKE == "spins-at-the-end":
            pass
        elif self.typing:
            fail("the server has closed the connection")
        else:
            os._exit(0)

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
            if MISTAKE == "answers-in-turn" and KEYS not in ready:
                self.unsent += os.read(KEYS, SIZE)
                self.send()


Client().run()
