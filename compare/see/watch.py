"""Looks at both ends of connections and into the server, again and again: a row for each change."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from compare.host import kin, process, sock_diag
from compare.host.sock_diag import Address
from compare.host.threads import inode_of, threads
from compare.see.records import Doing, End, Queue, Row

STEP_S = 0.001  # between two looks
QUIET_S = 0.03  # without a change, after which nothing more is waited for
TREE_S = 0.05  # after which the server may have other processes
MEETS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where a client meets who listens everywhere

Told = Callable[[Row], None]


class Connection:
    """One that is watched: the client's socket, and both ends as they were last seen."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.client = self.server = End()
        self.local: Address | None = None
        self.inode = 0  # of the server's end, while a process has it

    def locate(self) -> None:
        """Its own address, which it has once it began to connect."""
        if self.local is None and self.sock.fileno() >= 0:
            host, port = self.sock.getsockname()[:2]
            self.local = Address(host, port) if port else None


class Watcher:
    """Whoever listens at an address, and its clients. pid: of the server, if it has one."""

    def __init__(self, host: str, port: int, pid: int | None, told: Told) -> None:
        self.server = Address(MEETS.get(host, host), port)
        self._pid = pid
        self._told = told
        self._families = self._needed()
        self._connections: dict[int, Connection] = {}
        self._last: Connection | None = None
        self._tree: list[int] = []
        self._tree_at = 0.0
        self._began = time.perf_counter()
        self._took: list[float] = []
        self.queue: Queue | None = None
        self.threads: list[Doing] = []

    def _needed(self) -> tuple[int, ...]:
        """The kernel is asked for each family by itself; one listener may serve both."""
        four, six = socket.AF_INET, socket.AF_INET6
        if ":" in self.server.host:
            return (six,)
        return (four,) if sock_diag.listeners(self.server.port, [four]) else (four, six)

    def left(self) -> dict[str, int]:
        """How many sockets have the server's port now, by state, whoever has them."""
        found = sock_diag.sockets(self.server.port, self._families)
        return dict(sorted(Counter(each.state for each in found).items()))

    def add(self, sock: socket.socket) -> Connection:
        number = len(self._connections) + 1
        self._connections[number] = Connection(number, sock)
        return self._connections[number]

    @property
    def samples(self) -> int:
        return len(self._took)

    @property
    def sample_us(self) -> float:
        return round(statistics.median(self._took) * 1e6, 1) if self._took else 0.0

    def is_of(self, pids: Iterable[int]) -> bool:
        """Whether one of these processes has a socket that listens there."""
        found = sock_diag.listeners(self.server.port, self._families)
        inodes = {each.inode for each in found}
        held: set[int] = set()
        for pid in pids:
            with contextlib.suppress(OSError):
                held |= process.socket_inodes(pid)
        return bool(inodes & held)

    def note(self, call: str, result: str = "", who: Connection | None = None) -> None:
        """A call was made: a row, whether it changed anything or not."""
        self._look(call, result, who, noted=True)

    def look(self) -> bool:
        """Whether anything has changed since; each change has its row."""
        return self._look("", "", None, noted=False)

    def settle(self, within_s: float) -> None:
        """Look until nothing changes any more, for `within_s` at most."""
        began = changed = time.monotonic()
        while (now := time.monotonic()) < changed + QUIET_S and now < began + within_s:
            if self.look():
                changed = time.monotonic()
            time.sleep(STEP_S)

    def until(self, condition: Callable[[], object], within_s: float) -> bool:
        """Look until it holds; whether it came to, within that time."""
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                return bool(condition())  # we may have been stopped since we looked
            time.sleep(STEP_S)
            self.look()
        return True

    def _look(self, call: str, result: str, who: Connection | None, *, noted: bool) -> bool:
        began = time.perf_counter()
        listeners = sock_diag.listeners(self.server.port, self._families)
        changed = self._ends()
        queue, doing = self._queue_of(listeners), self._threads_of(listeners)
        self._took.append(time.perf_counter() - began)
        inside = (queue, doing) != (self.queue, self.threads)
        self.queue, self.threads = queue, doing
        if who is not None:
            self._last = who
        shown: list[Connection | None] = [*changed]
        if noted:
            first = who or self._last
            shown = [first, *(each for each in changed if each is not first)]
        elif inside and not changed:
            shown = [self._last]
        at_ms = round((began - self._began) * 1000, 3)
        for index, each in enumerate(shown):
            said = (who.number if who else 0, call, result) if index == 0 else (0, "", "")
            number, ends = (
                (each.number, (each.client, each.server)) if each else (0, (End(), End()))
            )
            self._told(Row(at_ms, *said, number, *ends, queue, doing))
        return bool(shown)

    def _ends(self) -> list[Connection]:
        """Those connections of which an end has changed."""
        for each in self._connections.values():
            each.locate()
        ours = {each.local: each for each in self._connections.values() if each.local}
        asked = [pair for local in ours for pair in ((local, self.server), (self.server, local))]
        found = sock_diag.connections(asked)
        changed = []
        for local, each in ours.items():
            here, there = found.get((local, self.server)), found.get((self.server, local))
            client = _end(here) if here else _of_ours(each.sock)
            server = _end(there) if there else self._unlisted(each)
            each.inode = there.inode if there else each.inode
            if any(map(_differ, (client, server), (each.client, each.server))):
                changed.append(each)
            each.client, each.server = client, server
        return changed

    def _unlisted(self, connection: Connection) -> End:
        """The server's end where the kernel's tables have none: a process may still hold it."""
        if connection.inode and self._pid is not None:
            for pid in self._processes():
                with contextlib.suppress(OSError):
                    if connection.inode in process.socket_inodes(pid):
                        return End("CLOSE", held=True)
        connection.inode = 0
        return End()

    def _queue_of(self, listeners: Iterable[sock_diag.Socket]) -> Queue | None:
        """Of all who listen there: with SO_REUSEPORT each has a queue of its own."""
        found = [each for each in listeners if self._hears(each.local)]
        if not found:
            return None
        return Queue(
            sum(each.receive_queue for each in found), sum(each.send_queue for each in found)
        )

    def _hears(self, local: Address) -> bool:
        return local.port == self.server.port and local.host in (self.server.host, *MEETS)

    def _threads_of(self, listeners: Iterable[sock_diag.Socket]) -> list[Doing]:
        if self._pid is None:
            return []
        whose = {each.inode: "listener" for each in listeners}
        whose |= {each.inode: str(each.number) for each in self._connections.values()}
        found = []
        for pid in self._processes():
            for each in threads(pid):
                inode = inode_of(pid, each.fd) if each.fd is not None else None
                on = whose.get(inode, "") if inode else ""
                found.append(Doing(pid, each.tid, each.state, each.call, on))
        return found

    def _processes(self) -> list[int]:
        assert self._pid is not None
        if (now := time.monotonic()) > self._tree_at + TREE_S:
            self._tree, self._tree_at = kin.tree(self._pid), now
        return self._tree


def _end(found: sock_diag.Socket) -> End:
    queues = found.receive_queue, found.send_queue
    return End(found.state, *queues, held=found.inode != 0, timer=found.timer)


def _differ(now: End, before: End) -> bool:
    """In what is to be seen: timers come and go with each segment."""
    return msgspec.structs.replace(now, timer=before.timer) != before


def _of_ours(sock: socket.socket) -> End:
    """A client's end that is in none of the kernel's tables: in CLOSE, or gone with its socket."""
    if sock.fileno() < 0:
        return End()
    return End(sock_diag.state_of(sock), held=True)
