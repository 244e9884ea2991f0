"""What a check of a client works with: a fresh client, and the server that it is to talk to."""

from __future__ import annotations

import contextlib
import random
import socket
import string
import time
from typing import NamedTuple

from compare.check.bench import END_S, PATIENCE_S, Subject, free_port
from compare.check.failure import Differs, Failed, must_equal, shown
from compare.check.idleness import least_share, must_be_little
from compare.check.keyboard import Keyboard, Program
from compare.check.tcp import TRACE
from compare.check.timeline import Timeline
from compare.check.wire import Wire, wait_until
from compare.host.launch import READY_TIMEOUT_S, LaunchError
from compare.host.place import Place

HOST = "127.0.0.1"
BRIEF = 3  # lines
QUIET_S = 0.3  # on an idle machine
LINE = 12  # characters of one that is typed or shown: nobody says it by chance
LARGEST = 65536


class Question(NamedTuple):
    """A datagram that came, and from where."""

    data: bytes
    sender: tuple[str, int]


class ClientBench:
    """One check's client and server, as a context manager.

    The server listens, or not, as the check has it, and the client is started by meet() or begin().
    """

    def __init__(self, subject: Subject, seed: int, patience: float, limit: float = 0.0) -> None:
        self.subject = subject
        self.patience = patience
        self.limit = limit  # as declared, for the check of one
        self.timeline = Timeline()
        self.random = random.Random(seed)
        self._opened = contextlib.ExitStack()
        self._program: Program | None = None
        self._may_end = False
        self._marks = (0, 0)
        self.input_has_ended = False

    def __enter__(self) -> ClientBench:
        return self

    def __exit__(self, *exception: object) -> None:
        self.send_clients_home()

    def send_clients_home(self) -> None:
        """End the client, and close all sockets."""
        self._opened.close()

    @property
    def start_s(self) -> float:
        """How long it may take to start."""
        return self.subject.ready_timeout_s or max(READY_TIMEOUT_S, self.patience)

    @property
    def soon_s(self) -> float:
        """In which one who reacts at all has done so."""
        return QUIET_S * self.patience / PATIENCE_S

    # The server.

    def keep(self, sock: socket.socket) -> socket.socket:
        """Until the end."""
        return self._opened.enter_context(sock)

    def listener(
        self, *, backlog: int = 5, listens: bool = True, receive_buffer: int = 0
    ) -> socket.socket:
        """A socket at a free port; one that does not listen refuses whoever comes."""
        sock = self.keep(socket.socket())
        if receive_buffer:  # which those that it accepts inherit
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((HOST, 0))
        if listens:
            sock.listen(backlog)
        sock.setblocking(False)
        self.timeline.note("server", f"listen({backlog})" if listens else "bind(), no listen()")
        return sock

    def meet(self, keyboard: Keyboard | bytes = "pipe", *, receive_buffer: int = 0) -> Wire:
        """Start a client and accept its connection."""
        listener = self.listener(receive_buffer=receive_buffer)
        self.begin(Place("tcp", *listener.getsockname()), keyboard)
        return self.accept(listener, usual=keyboard == "pipe")

    def accept(self, listener: socket.socket, *, usual: bool = True) -> Wire:
        """Raises LaunchError where it does not connect, though the keyboard is a usual one."""
        came: list[socket.socket] = []

        def accept() -> bool:
            with contextlib.suppress(BlockingIOError):
                came.append(listener.accept()[0])
            return bool(came) or self.program.status() is not None

        wait_until(accept, self.start_s)
        if not came:
            reason = self.program.ending()
            if usual:
                raise LaunchError(self.not_seen("connected", reason))
            self._may_end = True
            actual = f"it ended instead: {reason}" if reason else "it did not"
            raise Failed("it to connect", actual)
        sock = self.keep(came[0])
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeline.note("server", "accept()", f"port {sock.getpeername()[1]}")
        return Wire("server", sock, self.timeline, self.patience)

    def not_seen(self, done: str, ending: str | None) -> str:
        """Why it has not connected, or asked."""
        if ending:
            return f"it ended before it {done}: {ending}"
        longer = "" if self.subject.obeys else "; one that needs longer takes --ready-timeout"
        return f"it has not {done} within {self.start_s:g} s{longer}"

    def datagrams(self) -> socket.socket:
        """A UDP socket at a free port."""
        sock = self.keep(socket.socket(type=socket.SOCK_DGRAM))
        sock.bind((HOST, 0))
        return sock

    def closed_port(self) -> Place:
        """Of UDP, at which nobody is."""
        return Place("udp", HOST, free_port("udp", HOST))

    # The client.

    def begin(self, place: Place, keyboard: Keyboard | bytes = "pipe") -> None:
        """Start a client that is to talk to `place`; the one before is ended."""
        if self._program is not None:
            self._program.__exit__(None, None, None)
        self._may_end = False
        self.input_has_ended = isinstance(keyboard, bytes)
        subject = self.subject
        self._program = Program(subject.argv(place), keyboard, cwd=subject.cwd, env=subject.env)
        self._opened.push(self._program)
        self._marks = (0, 0)
        self.timeline.note("client", "started", f"{place.host}:{place.port}")

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    def word(self) -> str:
        return "".join(self.random.choices(string.ascii_letters + string.digits, k=LINE))

    def type(self, text: bytes) -> None:
        """Type all of it; the client is to read it."""
        self._note("keyboard", "types", text)
        deadline = time.monotonic() + self.patience
        unread = memoryview(text)
        while unread:
            try:
                unread = unread[self.program.type_some(unread, 0.01) :]
            except BrokenPipeError:
                raise Failed("the client to hear its keyboard", "it has closed it") from None
            if unread and time.monotonic() > deadline:
                raise Failed("the client to hear its keyboard", "it reads no more")

    def end_input(self) -> None:
        self.timeline.note("keyboard", "the end")
        self.input_has_ended = True
        self.program.end_input()

    def say(self, wire: Wire, data: bytes) -> None:
        try:
            wire.send(data)
        except Failed as failure:  # it speaks of a server that it sends to
            raise Failed("the client to keep its connection", failure.actual) from None
        self._note("server", "says", data)

    def _note(self, who: str, verb: str, data: bytes) -> None:
        self.timeline.note(who, f"{verb} {shown(data)}")

    def must_hear(self, wire: Wire, typed: bytes, what: str) -> None:
        """What was typed comes; a line may end in CR LF, too."""
        came = bytearray()
        try:
            while len(came) < len(typed):
                try:
                    piece = wire.receive_some()
                except Failed as failure:
                    must_equal(came, typed, what, so_far=True)
                    raise Failed(what, f"{shown(came)} came, then {failure.actual}") from None
                if not piece:
                    break
                came += piece.replace(b"\r", b"")
            must_equal(came, typed, what)
        except Differs as differs:  # of an echo it would say more
            raise Failed(differs.expected, differs.actual, differs.at_byte) from None

    def must_show(self, text: str, what: str, *, since: int = 0) -> None:
        """It comes on the screen in one piece, among whatever else."""
        wanted = text.encode()
        if not self.program.screen.wait(lambda came: wanted in came, self.patience, since):
            came = self.program.screen.since(since)
            raise Failed(what, f"{shown(came[-40:]) if came else 'nothing'} was shown")
        self._note("screen", "shows", wanted)

    def mark(self) -> None:
        """What it says from now on is what said() gives; what it says at its start has been."""
        time.sleep(self.soon_s)
        self._marks = (len(self.program.screen), len(self.program.stderr))

    def said(self) -> str:
        """On the screen and on stderr, since the mark, or else since its start."""
        outputs = (self.program.screen, self.program.stderr)
        if self.program.status() is not None:
            for each in outputs:
                each.wait_for_end(self.patience)
        words = [each.since(at) for each, at in zip(outputs, self._marks, strict=True)]
        return b"\n".join(words).decode(errors="replace").strip()

    def must_end(self, what: str, within: float | None = None) -> int:
        """Its exit status; that of a signal is none."""
        self._may_end = True
        within = self.patience if within is None else within
        if not self.program.ends_within(within):
            raise Failed(what, f"it goes on after {within:.0f} s")
        status = self.program.status()
        self.timeline.note("client", "ended", str(status))
        if status is None or status < 0:
            raise Failed(what, f"it was {self.program.ending()}")
        return status

    def must_be_brief(self, of: str, *, word: bool = True) -> str:
        """It says so in a line or a few, and no trace; not at all, where no word is asked for."""
        said = self.said()
        lines = [line for line in said.splitlines() if line.strip()]
        if TRACE.search(said) or len(lines) > BRIEF:
            actual = f"{len(lines)} lines, the last {lines[-1]!r}"
            raise Failed(f"a line that says that {of}, and no trace of calls", actual)
        if word and not lines:
            raise Failed(f"a line that says that {of}", "it said nothing")
        return said

    def must_rest_or_end(self, when: str) -> None:
        share = least_share(self.program.pid, self.patience)
        if self.ending() is None:
            must_be_little(share, when, self.patience)

    def ending(self) -> str | None:
        return self._program.ending() if self._program else None

    # What whoever makes the checks asks.

    def must_be_there(self) -> None:
        """It need not: each check asks by itself whether it may end."""

    def unasked_ending(self) -> str | None:
        """How it ended, if it has or does so now, and the check does not tell of that itself."""
        if self._may_end or self._program is None:
            return None
        self._program.ends_within(END_S)
        return self.ending()

    def background(self) -> None:
        """Of a client there is nothing to be said."""

    def stderr(self) -> str:
        return self._program.stderr_tail() if self._program else ""
