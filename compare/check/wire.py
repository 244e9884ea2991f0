"""Clients whose every call is noted, has a deadline, and says what it expected instead."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable

from compare.check import symptoms
from compare.check.blame import of_this_machine
from compare.check.failure import (
    RECOGNISED,
    Differs,
    Failed,
    is_first_nul,
    must_equal,
    shown,
    so_many,
)
from compare.check.timeline import Timeline

PIECE = 256 * 1024
SLOW_PIECE = 16 * 1024  # of who reads slowly
LOOK_S, SELDOM = 0.005, 4  # from one look to the next: of a look's own time the latter at least
ENDLESS = 5  # times the patience: who has not come to an end by then does not
LONGEST_LINE = 16 * 1024 * 1024  # bytes, more than any that is waited for
_MIN_RTT_AT = 148  # in struct tcp_info, include/uapi/linux/tcp.h: microseconds
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset
RESET_SAID = f"recv() said {errno.errorcode[errno.ECONNRESET]}"


class Wire:
    """One TCP connection of a check. alone: nobody else was connected when it was made."""

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        timeline: Timeline,
        patience: float,
        *,
        alone: bool = False,
    ) -> None:
        self.name = name
        self.sock = sock
        self.patience = patience
        self._timeline = timeline
        self._lines = bytearray()
        self._said_all = False
        self.alone = alone
        self._answered = False
        self.member = ""  # of a chat room, by its name

    def note(self, call: str, result: str = "") -> None:
        self._timeline.note(self.name, call, result)

    # Out.

    def send(self, data: bytes) -> None:
        """All of it, however long the server takes to read it."""
        unsent = memoryview(data)
        self._timeline.say(self.name, data)
        while unsent:
            if not self.poll(self.patience, read=False)[1]:
                raise Failed(
                    "the server to read what it is sent",
                    f"it took {len(data) - len(unsent):,} of {len(data):,} bytes and no more for "
                    f"{self.patience:.1f} s",
                )
            unsent = unsent[self.send_some(unsent) :]

    def send_some(self, data: bytes | memoryview) -> int:
        """What the kernel takes at once, possibly nothing. Raises Failed on a reset."""
        try:
            sent = self.sock.send(data[:PIECE], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.note(f"send({min(len(data), PIECE)})", _name(error))
            if of_this_machine(error):
                raise
            likely = "" if self._said_all else symptoms.CLOSED
            said = f"send() said {_name(error)}"
            raise Failed("the connection to stay open", said, likely=likely) from None
        self.note(f"send({min(len(data), PIECE)})", str(sent))
        return sent

    def wait_until_delivered(self) -> None:
        """Return when the server's kernel has all that was sent."""

        def unacknowledged() -> int:
            answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4))  # tcp(7)
            return int.from_bytes(answer, sys.byteorder)

        if not wait_until(lambda: unacknowledged() == 0, self.patience):
            raise Failed("the server's kernel to take what was sent", "it did not")

    def distance_s(self) -> float:
        """How long the network alone takes there and back."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if len(info) < _MIN_RTT_AT + 4:
            return 0.0
        (microseconds,) = struct.unpack_from("=I", info, _MIN_RTT_AT)
        return float(microseconds) / 1e6

    def half_close(self) -> None:
        self.note("shutdown(SHUT_WR)")
        self._said_all = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Failed("the connection to be there", f"shutdown() said {_name(error)}") from None

    def reset(self) -> None:
        self.note("close() with SO_LINGER 0", "sends RST")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def close(self) -> None:
        self.note("close()")
        self.sock.close()

    # In.

    def receive_some(self, size: int = PIECE, within: float | None = None) -> bytes:
        """What there is, at most `size`; b"" is the end. Raises Failed if nothing comes."""
        limit = self.patience if within is None else within
        if not self.poll(limit, write=False)[0]:
            likely = symptoms.NO_END if self._said_all else ""
            raise Failed("an answer", f"nothing came within {limit:.1f} s", likely=likely)
        try:
            data = self.sock.recv(size)
        except OSError as error:
            self.note(f"recv({size})", _name(error))
            if of_this_machine(error):
                raise
            reset = isinstance(error, ConnectionResetError) and self._said_all
            likely = symptoms.RESET if reset else ""
            raise Failed("an answer", f"recv() said {_name(error)}", likely=likely) from None
        self.note(f"recv({size})", str(len(data)) if data else "0: the end")
        self._answered = self._answered or bool(data)
        return data

    def must_receive(self, data: bytes, what: str) -> None:
        """`data` comes, and nothing else; more may follow."""
        received = bytearray()
        while len(received) < len(data):
            try:
                piece = self.receive_some(len(data) - len(received))
            except Failed as failure:
                if received and not self._said_all and RESET_SAID in failure.actual:
                    failure.likely = symptoms.CLOSED
                raise _broken_off(received, data, what, failure) from None
            if not piece:
                if received and data.startswith(received) and not self._said_all:
                    raise _ended_early(received, data, what, symptoms.ONCE)
                break
            received += piece
        must_equal(received, data, what)

    def receive_rest(self, within: float | None = None) -> bytes:
        """All there is, up to the end, which must come before there is no end to it."""
        received, deadline = bytearray(), time.monotonic() + ENDLESS * self.patience
        while data := self.receive_some(within=within):
            received += data
            if time.monotonic() > deadline:
                raise Failed("the end", f"it goes on after {len(received):,} bytes")
        return bytes(received)

    def must_receive_rest(
        self,
        data: bytes,
        what: str,
        within: float | None = None,
        *,
        origin: int = 0,
        slowly: float = 0.0,
    ) -> None:
        """`data` comes, and then the end; the client has closed its side.

        slowly: seconds between pieces.
        """
        received = bytearray()
        while True:
            try:
                piece = self.receive_some(SLOW_PIECE if slowly else PIECE, within)
            except Failed as failure:
                raise _broken_off(received, data, what, failure, origin) from None
            if not piece:
                break
            received += piece
            if len(received) > len(data):  # who talks on may do so for ever
                break
            if slowly:
                time.sleep(slowly)
        if len(received) < len(data) and data.startswith(received):
            raise _ended_early(received, data, what, symptoms.CUT_SHORT, origin)
        must_equal(received, data, what, origin=origin)

    def exchange(self, data: bytes, what: str = "", *, origin: int = 0) -> None:
        """Send `data` and take its echo at the same time; it must be the same.

        what: it is to be, in words, where that it is the same is what is asked.
        origin: how much this connection has had back before.
        """
        try:
            self._exchange(data, data, what or "the same bytes back", origin)
        except Failed as failure:
            if not what and not failure.likely:
                failure.likely = self._of_no_echo(failure, origin)
            raise

    def ask(self, data: bytes, answer: bytes, what: str) -> None:
        """Send `data` and take what comes at the same time, which must be `answer`."""
        self._exchange(data, answer, what, 0)

    def _of_no_echo(self, failure: Failed, origin: int) -> str:
        """What it shows that another byte came, or none, where any answer would do."""
        if isinstance(failure, Differs) or (failure.at_byte or 0) > origin:
            return symptoms.CHANGED
        return symptoms.SILENT if self.alone and "then nothing" in failure.actual else ""

    def _exchange(self, data: bytes, answer: bytes, what: str, origin: int) -> None:
        unsent, received = memoryview(data), bytearray()
        self._timeline.say(self.name, data)
        while len(received) < len(answer):
            readable, writable = self.poll(self.patience, write=bool(unsent))
            ended = ""
            if readable or writable:
                try:
                    if readable:
                        piece = self.receive_some(min(PIECE, len(answer) - len(received)))
                        received += piece
                        ended = "" if piece else "the end"
                    else:
                        unsent = unsent[self.send_some(unsent) :]
                except Failed as failure:
                    ended = failure.actual
            else:
                ended = f"nothing for {self.patience:.1f} s"
            if ended:
                self._must_be(received, answer, what, origin, so_far=True)
                at, of = origin + len(received), origin + len(answer)
                likely = ""
                if ended == "the end":
                    likely = (
                        symptoms.ONCE if received else symptoms.CLOSED if self._answered else ""
                    )
                if "nothing" in ended and is_first_nul(answer, len(received)):
                    likely = symptoms.AT_A_NUL
                actual = f"{at:,} of {of:,} bytes came back, then {ended}"
                raise Failed(what, actual, at, likely="" if self._said_all else likely)
        self._must_be(received, answer, what, origin)

    def _must_be(
        self, received: bytearray, answer: bytes, what: str, origin: int, *, so_far: bool = False
    ) -> None:
        try:
            must_equal(received, answer, what, origin=origin, so_far=so_far)
        except Differs as failure:
            at = (failure.at_byte or 0) - origin
            if self._timeline.is_of_another(self.name, bytes(received[at : at + RECOGNISED])):
                failure.likely = symptoms.OTHERS
            raise

    def send_until_stuck(self, data: bytes, quiet: float, times: int = 1) -> int:
        """Send without reading until nothing more is taken for `quiet` s; how many bytes were.

        times: that `data` is to be sent, of which no copies are made.
        """
        sent = 0
        self._timeline.say(self.name, data)
        while sent < len(data) * times and self.poll(quiet, read=False)[1]:
            sent += self.send_some(memoryview(data)[sent % len(data) :])
        return sent

    def must_end(self, within: float, what: str) -> None:
        """The server closes it, cleanly or by a reset, and says nothing more before that."""
        if not self.poll(within, write=False)[0]:
            raise Failed(what, f"it was still open after {within:.1f} s")
        try:
            data = self.sock.recv(PIECE)
        except OSError as error:
            self.note(f"recv({PIECE})", _name(error))
            return
        self.note(f"recv({PIECE})", str(len(data)))
        if data:
            raise Failed(what, f"{shown(data)} came instead of the end")

    def poll(self, timeout: float, *, read: bool = True, write: bool = True) -> tuple[bool, bool]:
        """Whether reading and writing would not wait, after at most `timeout` seconds."""
        poll = select.poll()
        poll.register(self.sock, read * select.POLLIN | write * select.POLLOUT)
        events = dict(poll.poll(timeout * 1000)).get(self.sock.fileno(), 0)
        if not events:
            self._timeline.stuck = self.name
        broken = bool(events & (select.POLLHUP | select.POLLERR))
        return (
            read and (broken or bool(events & select.POLLIN)),
            write and (broken or bool(events & select.POLLOUT)),
        )

    # Lines.

    def say(self, text: str) -> None:
        self.send(f"{text}\n".encode())

    def line(self, what: str = "a line", within: float | None = None) -> str | None:
        """The next line without its LF; None at the end."""
        deadline = time.monotonic() + ENDLESS * self.patience
        while b"\n" not in self._lines:
            if len(self._lines) > LONGEST_LINE or time.monotonic() > deadline:
                raise Failed(what, f"{len(self._lines):,} bytes came, and no end of a line")
            try:
                data = self.receive_some(within=within)
            except Failed as failure:
                came = bytes(self._lines)
                if not came:
                    raise Failed(what, failure.actual) from None
                actual = f"{shown(came)} came, without a line end, then {failure.actual}"
                raise Failed(what, actual, likely=symptoms.NO_LINE_END) from None
            if not data:
                if self._lines:
                    raise Failed(
                        what, f"half a line came, then the end: {shown(bytes(self._lines))}"
                    )
                return None
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode(errors="backslashreplace")

    def must_say(self, expected: str) -> None:
        """The next line is this one."""
        if (line := self.line(f"the line {expected!r}")) != expected:
            raise Failed(f"the line {expected!r}", f"{line!r} came" if line else "the end came")


def _broken_off(
    received: bytearray, data: bytes, what: str, failure: Failed, origin: int = 0
) -> Failed:
    """Why not all of `data` came, or no end after it. Raises Differs where it is not `data`."""
    must_equal(received, data, what, origin=origin, so_far=True)
    came, all_came = origin + len(received), len(received) == len(data)
    actual = failure.actual
    if data and came:
        actual = f"{'all' if all_came else 'only'} {came:,} bytes came, then {failure.actual}"
    # Where bytes are missing, too, silence is no missing end; a reset may be what took them.
    known = all_came or failure.likely in (symptoms.RESET, symptoms.CLOSED)
    return Failed(what, actual, came or None, likely=failure.likely if known else "")


def _ended_early(
    received: bytearray, data: bytes, what: str, likely: str, origin: int = 0
) -> Differs:
    came, all_ = origin + len(received), origin + len(data)
    actual = f"{so_many(came, all_)}, then the end"
    return Differs(what, actual, came or None, likely=likely, changed=False)


def wait_until(condition: Callable[[], object], within: float) -> bool:
    """Whether `condition()` came to hold within `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        looked = time.monotonic()
        if condition():
            return True
        if (now := time.monotonic()) > deadline:
            return bool(condition())  # we may have been stopped since we looked
        time.sleep(max(LOOK_S, SELDOM * (now - looked)))  # all of /proc/net/tcp is a long look


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))
