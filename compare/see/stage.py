"""What a scene is played on: clients whose every call is seen, and a server that can be stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from collections.abc import Callable

from compare.check.wire import RESET
from compare.host import process
from compare.host.launch import Server
from compare.see.watch import Connection, Watcher

PIECE = 256 * 1024
SETTLE_S = 0.5  # for a server whose threads are never at rest


class BlindError(Exception):
    """The scene cannot be played with this server; the message says why."""


class Client:
    """One client. Its calls do not wait: what they would wait for is looked at meanwhile."""

    def __init__(self, watcher: Watcher, patience_s: float) -> None:
        family = socket.AF_INET6 if ":" in watcher.server.host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.setblocking(False)
        self._watcher = watcher
        self._patience_s = patience_s
        self.ends: Connection = watcher.add(self.sock)

    def connect(self) -> None:
        """Begin to, and look until there is nothing more to be seen of it."""
        number = self.sock.connect_ex(self._watcher.server)
        if number == errno.EINPROGRESS:  # on loopback all is over by now, but in SYN_SENT
            over = _polls(self.sock, select.POLLOUT)
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if over else 0
        self._note("connect()", _name(number))

    def send(self, data: bytes) -> None:
        try:
            result = str(self.sock.send(data, socket.MSG_NOSIGNAL))
        except BlockingIOError:
            result = "EAGAIN"
        except OSError as error:
            result = _name(error.errno)
        self._note(f"send({len(data)})", result)

    def fill(self, most: int) -> None:
        """Send until nothing more is taken, or `most` bytes were; one row for all that."""
        sent = times = 0
        with contextlib.suppress(OSError):
            while sent < most and self.until(self.is_writable, SETTLE_S):
                sent += self.sock.send(bytes(PIECE), socket.MSG_NOSIGNAL)
                times += 1
        self._note(f"send() x {times}", str(sent))

    def receive(self) -> bool:
        """Take what there is, or wait for it; whether more may come after it."""
        if not self.until(self.is_readable, self._patience_s):
            self._note("recv()", "nothing")
            return False
        try:
            count = len(self.sock.recv(PIECE))
        except OSError as error:
            self._note("recv()", _name(error.errno))
            return False
        self._note("recv()", str(count))
        return count > 0

    def receive_all(self) -> None:
        """Up to the end, or until nothing comes."""
        while self.receive():
            pass

    def finish(self) -> None:
        """No more to say; what the server says is still heard."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._note("shutdown()", _name(error.errno))
        else:
            self._note("shutdown()")

    def close(self) -> None:
        self.sock.close()
        self._note("close()")

    def reset(self) -> None:
        """SO_LINGER of no time: close() sends RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()
        self._note("close() RST")

    def is_readable(self) -> bool:
        return _polls(self.sock, select.POLLIN)

    def is_writable(self) -> bool:
        return _polls(self.sock, select.POLLOUT)

    def until(self, condition: Callable[[], object], within_s: float) -> bool:
        return self._watcher.until(condition, within_s)

    def _note(self, call: str, result: str = "") -> None:
        self._watcher.note(call, result, self.ends)
        self._watcher.settle(SETTLE_S)


class Stage:
    """A server that runs, and its clients, which are gone at the end; as a context manager."""

    def __init__(self, server: Server, watcher: Watcher, patience_s: float) -> None:
        self.watcher = watcher
        self.patience_s = patience_s
        self.remarks: list[str] = []
        self.told_to_end = False
        self._server = server
        self._sockets = contextlib.ExitStack()
        self._stopped: list[int] = []

    def __enter__(self) -> Stage:
        self.watcher.note("")
        self.watcher.settle(SETTLE_S)
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()
        self._signal(signal.SIGCONT)

    def client(self) -> Client:
        client = Client(self.watcher, self.patience_s)
        self._sockets.callback(client.sock.close)
        return client

    def crowd(self, number: int) -> None:
        """So many that connect, and of which nothing but their places in the queue is seen."""
        server = self.watcher.server
        for _ in range(number):
            sock = self._sockets.enter_context(
                socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET)
            )
            sock.setblocking(False)
            sock.connect_ex(server)
        self.watcher.note(f"+{number} connect()")
        self.watcher.settle(SETTLE_S)

    def until(self, condition: Callable[[], object]) -> bool:
        return self.watcher.until(condition, self.patience_s)

    def stop(self) -> None:
        """SIGSTOP: the server's processes stand still, its kernel goes on. Raises BlindError."""
        self._stopped = self._own()
        self._signal(signal.SIGSTOP)
        self.watcher.note("SIGSTOP")
        self.until(lambda: all(each.state in "TtZ" for each in self.watcher.threads))
        self.watcher.settle(SETTLE_S)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self._stopped = []
        self.watcher.note("SIGCONT")
        self.watcher.settle(SETTLE_S)

    def terminate(self) -> bool:
        """SIGTERM; whether it has ended by the time we lost patience."""
        self._server.terminate()
        return self._ends("SIGTERM")

    def kill(self) -> None:
        """SIGKILL to all of its processes, which cannot do anything any more."""
        self._stopped = self._own()
        self._signal(signal.SIGKILL)
        self._ends("SIGKILL")
        self._stopped = []

    def _ends(self, word: str) -> bool:
        self.told_to_end = True
        self.watcher.note(word)
        ended = self.until(lambda: self._server.died() is not None)
        self.watcher.settle(SETTLE_S)
        return ended

    def _own(self) -> list[int]:
        """The server's processes, of which one must be who listens; none of one that has ended.

        Raises BlindError.
        """
        if self._server.died():
            return []
        pids = process.tree(self._server.pid)
        if not self.watcher.is_of(pids):
            raise BlindError(
                "none of the processes that were started has the socket at which it listens, as "
                "if it were in a container: it cannot be stopped"
            )
        return pids

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _polls(sock: socket.socket, event: int) -> bool:
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(0))


def _name(number: int | None) -> str:
    return errno.errorcode.get(number, str(number)) if number else ""
