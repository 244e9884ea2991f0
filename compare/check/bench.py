"""What a check works with: a fresh server, clients to it, and a look inside its processes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from compare.check import blame, postmortem
from compare.check.blame import Skipped
from compare.check.catalogue import Profile
from compare.check.failure import Failed
from compare.check.hello import greet
from compare.check.languages import Language
from compare.check.postmortem import Look
from compare.check.timeline import Timeline
from compare.check.variant import DEFAULT, Variant
from compare.check.wire import Wire, wait_until
from compare.host import process
from compare.host.launch import AWAY, LaunchError, Server
from compare.host.limits import SPARE_DESCRIPTORS, descriptors
from compare.host.place import ANYWHERE, LOOPBACKS, Place, free_port

PATIENCE_S = 3.0  # for what takes milliseconds
AT_REST_S = 0.1  # that nothing has changed
END_S = 0.5  # after which one that is ending can be asked how it ended


@dataclass(frozen=True)
class Subject:
    """What is under test: a command, or a server at a place where it already runs.

    `{host}` and `{port}` in the command are replaced. limits: what was declared, by name, in the
    server's own units: seconds, bytes, connections. strict: it is held to our own rules, too.
    ready_timeout_s: how long it may take to start, if that is more than usual. style: how it is
    to be made, if that is asked. patience_s: how long one waits for what takes milliseconds, if
    not PATIENCE_S.
    """

    profile: Profile
    command: tuple[str, ...] = ()
    place: Place | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    strict: bool = False
    cwd: str | None = None
    env: Mapping[str, str] | None = None
    ready_timeout_s: float | None = None
    language: Language | None = None  # in which one speaks of its mistakes
    style: str | None = None
    variant: Variant = DEFAULT  # of frames
    obeys: bool = False  # it must be where it is told to be: nobody else is to be asked
    patience_s: float | None = None

    @property
    def scheme(self) -> str:
        return "udp" if self.profile.startswith("udp-") else "tcp"

    @property
    def takes_a_port(self) -> bool:
        return any("{port}" in word for word in self.command)

    def argv(self, place: Place) -> list[str]:
        words = {"{host}": place.host, "{port}": str(place.port)}
        command = []
        for word in self.command:
            for name, value in words.items():
                word = word.replace(name, value)
            command.append(word)
        return command


class Bench:
    """One check's server, as a context manager; its clients are closed before it ends.

    Raises LaunchError where the server does not come up.
    """

    def __init__(self, subject: Subject, seed: int, patience: float, limit: float = 0.0) -> None:
        self.subject = subject
        self.seed = seed
        self.patience = patience
        self.limit = limit  # as declared, for the check of one
        self.timeline = Timeline()
        self._clients = contextlib.ExitStack()
        self._server: Server | None = None
        self._wires: list[Wire] = []  # of whom the last one is connected
        self._number = 0
        self._told_to_end = False
        self._seen_inside = False

    def __enter__(self) -> Bench:
        self.start()
        return self

    def start(self, place: Place | None = None) -> None:
        """Start the server, at `place` or at a free port; with a running one, go there."""
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None
        self._told_to_end = self._seen_inside = False
        if self.subject.place is not None:
            self.place = self.subject.place
            return
        wanted = place or Place(self.subject.scheme, "127.0.0.1", free_port(self.subject.scheme))
        server = Server(
            self.subject.argv(wanted),
            (),
            place=wanted if self.subject.takes_a_port else None,
            cwd=self.subject.cwd,
            env=self.subject.env,
            ready_timeout_s=self.subject.ready_timeout_s,
        )
        server.__enter__()
        if server.scheme != self.subject.scheme:
            server.__exit__(None, None, None)
            raise LaunchError(
                f"it serves {server.scheme.upper()}, by its own words, and --profile "
                f"{self.subject.profile} asks {self.subject.scheme.upper()}"
            )
        said = Place(server.scheme, server.host, server.port)
        if self.subject.obeys and not (said.port == wanted.port and _is_here(said.host)):
            server.__exit__(None, None, None)
            raise LaunchError(
                f"it said READY at {said.host}:{said.port}, and was told to listen at "
                f"{wanted.host}:{wanted.port}"
            )
        self._server = server
        self.place = said
        self.timeline.note("server", "started", f"{self.place.host}:{self.place.port}")

    def __exit__(self, *exception: object) -> None:
        self._clients.close()
        if self._server is not None:
            self._server.__exit__(None, None, None)

    def send_clients_home(self) -> None:
        """Close all clients: who is asked the next check has nobody else to serve."""
        self._clients.close()

    # Clients.

    def must_have_room_for(self, connections: float) -> None:
        """A process may have so many here, and so may the server's, whose limit is ours."""
        needed = int(connections) + SPARE_DESCRIPTORS
        if needed > (most := descriptors()):
            raise Skipped(
                f"{connections:,.0f} connections need {needed:,} descriptors, and a process may "
                f"have {most:,} here: ulimit -Hn {needed} (as root)"
            )

    def second_source(self) -> str:
        """Another address of this machine from which the server can be reached."""
        if ":" in self.place.host:
            raise Skipped("IPv6 has one loopback address, and this takes two: check it on IPv4")
        return "127.0.0.2"

    def namesake_of(self, sock: socket.socket) -> tuple[str, int] | None:
        """The port of `sock` at another address of this machine, which is free; or None."""
        host, port = sock.getsockname()[:2]
        if host != "127.0.0.1":
            return None
        source = self.second_source(), port
        with socket.socket(type=sock.type) as probe, contextlib.suppress(OSError):
            probe.bind(source)
            return source
        return None

    def connect(
        self,
        *,
        receive_buffer: int | None = None,
        max_segment: int | None = None,
        source: tuple[str, int] | None = None,
        at_once: bool = False,
    ) -> Wire:
        """A connection; at_once does not wait until it is there. Raises Failed."""
        self._number += 1
        while self._wires and self._wires[-1].sock.fileno() < 0:
            self._wires.pop()
        name = f"client {self._number}"
        family = socket.AF_INET6 if ":" in self.place.host else socket.AF_INET
        sock = self._clients.enter_context(socket.socket(family))
        if receive_buffer:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if max_segment:  # with small ones the kernels keep less in between
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, max_segment)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind(source)
        wire = Wire(name, sock, self.timeline, self.patience, alone=not self._wires)
        self._wires.append(wire)
        address = (self.place.host, self.place.port)
        if at_once:
            sock.setblocking(False)
            wire.note("connect()", "begun")
            if (number := sock.connect_ex(address)) in blame.LACKING:
                raise OSError(number, os.strerror(number))
            return wire
        sock.settimeout(self.patience)
        try:
            sock.connect(address)
        except OSError as error:
            wire.note("connect()", str(error))
            if blame.of_this_machine(error):
                raise
            raise Failed("a connection", f"connect() said {error.strerror or error}") from None
        wire.note("connect()", "0")
        return wire

    def datagrams(self, source: tuple[str, int] | None = None) -> socket.socket:
        """A UDP socket that hears only the server. Raises PermissionError for a low source."""
        family = socket.AF_INET6 if ":" in self.place.host else socket.AF_INET
        sock = self._clients.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sock.settimeout(self.patience)
        if source:
            sock.bind(source)
        try:
            sock.connect((self.place.host, self.place.port))
        except BlockingIOError:  # so a datagram socket says that no port is left for it
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)) from None
        return sock

    def greet(self, wire: Wire) -> None:
        """A hello in the words of the profile, and its answer. Raises Failed."""
        at, variant = (self.place.host, self.place.port), self.subject.variant
        greet(wire, self.subject.profile, variant=variant, at=at)

    def must_serve(self, why: str = "the server to go on serving") -> None:
        """A new client is served, from its connection to its end."""
        try:
            wire = self.connect()
            self.greet(wire)
            wire.half_close()
            wire.must_receive_rest(b"", "the end")
            wire.close()
        except Failed as failure:
            if ending := self.unasked_ending():
                raise Failed(why, f"it has ended: {ending}") from None
            actual = f"of a new client: {failure}"
            raise Failed(why, actual, likely=failure.likely) from None

    def ending(self) -> str | None:
        """How the server ended, if it has and was started here."""
        return self._server.died() if self._server else None

    def terminate(self) -> None:
        """SIGTERM to the server, which is then to end."""
        self.timeline.note("server", "SIGTERM")
        self._told_to_end = True
        self.server.terminate()

    def unasked_ending(self) -> str | None:
        """How it ended, if it has or does so now, and was not told to."""
        if self._told_to_end or self._server is None:
            return None
        wait_until(self.ending, END_S)  # its connections end before it can be asked how
        return self.ending()

    def must_be_there(self) -> None:
        """It has not ended, unless it was told to."""
        if self._told_to_end:
            return
        if ending := self.ending():
            raise Failed("the server to be there in the end", f"it has ended: {ending}")
        if away := self.background():
            raise Failed("the server to be there in the end", away)

    def background(self) -> str | None:
        """What is to be said of a server that has ended, and yet is there; None if it is not so.

        As well of one that is to obey, and has another process listen and does not itself: that
        it will be there is chance.
        """
        if self._told_to_end or self._server is None:
            return None
        inodes = {each.inode for each in self.place.bound()} if self.subject.obeys else set()
        who = process.other_holder(self.server.pid, inodes) if inodes else None
        if self._server.status() is not None:  # asked last: it may end while it is looked at
            return self._server.background() if self.place.is_taken() else None
        listens = f"process {who} of it listens, and what was started does not itself"
        return f"{AWAY}: {listens}" if who else None

    def look(self) -> Look:
        """What a server that was started here does now, and where its connections are."""
        if self._server is None or self.ending():
            return Look()
        open_ = [wire for wire in self._wires if wire.sock.fileno() >= 0]
        clients = {wire.sock.getsockname()[1]: wire.name for wire in open_}
        return postmortem.look(self.server.pid, self.place, clients)

    def stderr(self) -> str:
        """The end of what a server that was started here wrote to stderr."""
        return self._server.stderr_tail() if self._server else ""

    # Inside. Only for a server that was started here.

    @property
    def inside(self) -> bool:
        return self._server is not None

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    def _must_see_inside(self) -> None:
        """Raises Skipped where its processes cannot be looked into, Failed where it has ended."""
        try:
            self._seen_inside = self._seen_inside or self._has_its_socket()
        except OSError:
            if not self.ending():
                raise
        # Asked last: it may end, and be nowhere, while it is looked for.
        if ending := self.ending():
            raise Failed("the server to be there", f"it has ended: {ending}")
        if not self._seen_inside:
            raise Skipped(
                "none of the processes that were started has the socket at which it listens, as if "
                "it were in a container: cannot look inside"
            )

    def _has_its_socket(self) -> bool:
        """Whether one of the processes that were started has the socket of the server."""
        inodes = {each.inode for each in self.place.bound()}
        for each in process.tree(self.server.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is gone
                if inodes & process.socket_inodes(each):
                    return True
        return False

    def descriptors(self) -> int:
        self._must_see_inside()
        return process.size(self.server.pid).descriptors

    def descriptors_at_rest(self) -> int:
        """How many it has open once that no longer changes: its processes may still be starting."""
        seen, since = self.descriptors(), time.monotonic()
        while time.monotonic() < since + AT_REST_S:
            time.sleep(AT_REST_S / 10)
            if (now := self.descriptors()) != seen:
                seen, since = now, time.monotonic()
        return seen

    def memory_kb(self) -> int:
        self._must_see_inside()
        if not (memory := process.pss_kb(self.server.pid, anonymous=True)):
            self._must_see_inside()  # or it has ended meanwhile
            raise Skipped("this machine does not show its memory (/proc/PID/smaps_rollup)")
        return memory

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The server's processes stand still; its kernel goes on."""
        self._must_see_inside()
        pids = process.tree(self.server.pid)
        self.timeline.note("server", "SIGSTOP")
        _signal(pids, signal.SIGSTOP)
        wait_until(lambda: process.stands_still(self.server.pid), self.patience)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)
            self.timeline.note("server", "SIGCONT")

    def wait_until(self, condition: Callable[[], object]) -> bool:
        return wait_until(condition, self.patience)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_here(host: str) -> bool:
    return host in (*LOOPBACKS, *ANYWHERE)


__all__ = ["Bench", "Failed", "LaunchError", "Skipped", "Subject", "free_port"]
