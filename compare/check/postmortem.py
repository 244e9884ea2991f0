"""One look at a server when a check fails: what it waits for, and who waits for it.

With nothing but what proc(5) and sock_diag(7) show to whoever runs as the same user, so without
strace and without root, in about a millisecond. What cannot be seen is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compare.host import process, sock_diag
from compare.host.place import Place
from compare.host.threads import threads

SHOWN = 6  # threads, and connections, of which a person is told
LOOKED_INTO = 32  # descriptors, 20 us each
AGAIN_S = 0.002
LISTENER = "the listener"
NOBODY = "somebody"
WAITING_FOR_ANY = (
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
)
SENDING = ("sendto", "sendmsg", "write", "writev", "sendfile", "sendmmsg")
RECEIVING = ("recvfrom", "recvmsg", "read", "readv", "recvmmsg")
SLEEPING = ("nanosleep", "clock_nanosleep")
_EVENTS = ((1, "IN"), (4, "OUT"), (1 << 30, "ONESHOT"), (1 << 31, "ET"))  # sys/epoll.h
_WATCHED = re.compile(r"^tfd:\s*(\d+) events:\s*([0-9a-f]+)", re.MULTILINE)
_FLAGS = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)


class Doing(NamedTuple):
    """What one thread does. state: of proc(5); call: the system call it is in, about whom."""

    state: str
    call: str | None
    whom: str | None


class Conn(NamedTuple):
    """The server's end of a client's connection, or its listener.

    unread, unsent: bytes in the kernel that the server has not read, and the client not taken; of
    a listener how many wait to be accepted, and its backlog. held: whether the server has a
    descriptor of it. watched: for what by epoll, such as IN|ET; None where by nothing.
    """

    whose: str
    state: str
    unread: int
    unsent: int
    held: bool
    blocking: bool | None = None
    watched: str | None = None


@dataclass(frozen=True)
class Look:
    """What was seen of a server. by_epoll: whether it has an epoll at all."""

    doing: Sequence[Doing] = ()
    conns: Sequence[Conn] = ()
    children: int = 0
    by_epoll: bool = False

    def of(self, whose: str) -> Conn | None:
        return next((each for each in self.conns if each.whose == whose), None)

    @property
    def is_of_one_thread(self) -> bool:
        return len(self.doing) == 1 and not self.children

    @property
    def listener(self) -> Conn | None:
        return self.of(LISTENER)

    def rows(self) -> list[str]:
        """In words, for a person."""
        if not self.doing:
            return []
        alike: dict[str, list[str]] = {}
        for conn in _filled_in(self.conns):
            alike.setdefault(_of_conn(conn), []).append(conn.whose)
        rows = [f"{_together(whose)}: {text}" for text, whose in alike.items()]
        more = [f"and {len(rows) - SHOWN:,} other states"] if len(rows) > SHOWN else []
        return [self._of_threads(), *rows[:SHOWN], *more]

    def _of_threads(self) -> str:
        many = len(self.doing)
        said = [_of_thread(each) for each in self.doing]
        counted = {each: said.count(each) for each in dict.fromkeys(said)}
        parts = [each if times == 1 else f"{each} x {times}" for each, times in counted.items()]
        rest = f", and {len(parts) - SHOWN} other ways" if len(parts) > SHOWN else ""
        children = f" in {self.children + 1} processes" if self.children else ""
        return f"{many} thread{'s' * (many > 1)}{children}: {', '.join(parts[:SHOWN])}{rest}"


def _filled_in(conns: Sequence[Conn]) -> list[Conn]:
    """Those that were not looked into are as the others like them, where these are all alike."""
    known: dict[Conn, set[bool]] = {}
    kinds = [conn._replace(whose="", blocking=None) for conn in conns]
    for conn, kind in zip(conns, kinds, strict=True):
        if conn.blocking is not None:
            known.setdefault(kind, set()).add(conn.blocking)
    filled = []
    for conn, kind in zip(conns, kinds, strict=True):
        found = known.get(kind, set())
        filled.append(conn._replace(blocking=min(found)) if len(found) == 1 else conn)
    return filled


def _of_thread(doing: Doing) -> str:
    if doing.state == "R":
        return "runs (R)"
    if doing.state in "Tt":
        return "is stopped (T)"
    if doing.call is None:
        return f"sleeps ({doing.state})"
    return f"in {doing.call}()" + (f" on {doing.whom}" if doing.whom else "")


def _of_conn(conn: Conn) -> str:
    if conn.state == "LISTEN":
        text = f"{conn.unread} waiting to be accepted, backlog {conn.unsent}"
    else:
        text = conn.state
        text += _of_unread(conn)
        text += f", {conn.unsent:,} not taken by the client" if conn.unsent else ""
    if not conn.held:
        ended = conn.state not in ("ESTABLISHED", "CLOSE_WAIT")
        return text if conn.state == "LISTEN" or ended else f"{text}, accepted by nobody"
    if conn.blocking is not None:
        text += ", blocking" if conn.blocking else ", non-blocking"
    return f"{text}, watched for {conn.watched}" if conn.watched else text


def _of_unread(conn: Conn) -> str:
    """The kernel counts the client's end as one byte more."""
    ends = conn.state == "CLOSE_WAIT" and conn.unread > 0
    many = conn.unread - ends
    parts = [f"{many:,} byte{'s' * (many > 1)}"] * (many > 0) + ["the end"] * ends
    return f", {' and '.join(parts)} unread by the server" if parts else ""


def _together(whose: Sequence[str]) -> str:
    """Some names: `client 3, 4 and 20 more`."""
    first, *rest = whose
    rest = [each.removeprefix("client ") for each in rest]
    more = f" and {len(rest) - SHOWN:,} more" if len(rest) > SHOWN else ""
    return ", ".join([first, *rest[:SHOWN]]) + more


def look(pid: int, place: Place, clients: Mapping[int, str]) -> Look:
    """See what process `pid` and its descendants do now. clients: names by their ports.

    What is gone or may not be seen is left out.
    """
    pids = process.tree(pid)
    try:
        sockets = sock_diag.sockets(place.port) if place.scheme == "tcp" else []
    except OSError:
        sockets = []
    ours = [each for each in sockets if each.local.port == place.port and _counts(each, clients)]
    whose = {each.inode: _name(each, clients) for each in ours if each.inode}
    held: dict[int, tuple[int, int]] = {}  # a process and its descriptor, by inode
    epolls: list[tuple[int, int]] = []
    for each in pids:
        for fd, kind in _descriptors(each):
            if kind == "anon_inode:[eventpoll]":
                epolls.append((each, fd))
            elif kind.startswith("socket:") and (inode := int(kind[8:-1])) in whose:
                held.setdefault(inode, (each, fd))
    names = {(owner, fd): whose[inode] for inode, (owner, fd) in held.items()}
    watched = {
        (owner, fd): words for owner, epoll in epolls for fd, words in _watched(owner, epoll)
    }
    doing = _doing(pids, names)
    if doing and all(each.state == "R" for each in doing):  # for a moment, or for good?
        time.sleep(AGAIN_S)
        doing = _doing(pids, names)
    conns = []
    for number, sock in enumerate(ours):
        at = held.get(sock.inode)
        into = at is not None and number < LOOKED_INTO
        conns.append(
            Conn(
                _name(sock, clients),
                sock.state,
                sock.receive_queue,
                sock.send_queue,
                at is not None,
                _blocks(*at) if at and into and sock.state != "LISTEN" else None,
                watched.get(at) if at else None,
            )
        )
    conns.sort(key=lambda conn: (conn.state != "LISTEN", _number(conn.whose)))
    return Look(doing, conns, len(pids) - 1, bool(epolls))


def _doing(pids: Sequence[int], names: Mapping[tuple[int, int], str]) -> list[Doing]:
    return [
        Doing(
            thread.state,
            thread.call,
            names.get((pid, thread.fd)) if thread.fd is not None else None,
        )
        for pid in pids
        for thread in threads(pid)
        if thread.state not in "ZX"  # which has ended
    ]


def _counts(sock: sock_diag.Socket, clients: Mapping[int, str]) -> bool:
    """A listener, or a connection that somebody still has a use for."""
    if sock.state == "TIME_WAIT":
        return False
    return sock.state == "LISTEN" or sock.remote.port in clients or bool(sock.inode)


def _name(sock: sock_diag.Socket, clients: Mapping[int, str]) -> str:
    if sock.state == "LISTEN":
        return LISTENER
    return clients.get(sock.remote.port, f"{NOBODY} at port {sock.remote.port}")


def _number(name: str) -> int:
    last = name.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _descriptors(pid: int) -> list[tuple[int, str]]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append((int(name), os.readlink(f"/proc/{pid}/fd/{name}")))
    return found


def _fdinfo(pid: int, fd: int) -> str:
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _watched(pid: int, epoll: int) -> list[tuple[int, str]]:
    """What an epoll waits for, by descriptor: proc(5), fdinfo."""
    return [
        (int(fd), "|".join(name for bit, name in _EVENTS if int(events, 16) & bit) or "nothing")
        for fd, events in _WATCHED.findall(_fdinfo(pid, epoll))
    ]


def _blocks(pid: int, fd: int) -> bool | None:
    flags = _FLAGS.search(_fdinfo(pid, fd))
    return None if flags is None else not int(flags[1], 8) & os.O_NONBLOCK
