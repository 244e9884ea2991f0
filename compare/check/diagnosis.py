"""The likely mistake, by what was seen and not by which check saw it.

First how the server ended, if it has; then what came in place of the right bytes; then what the
server was doing while somebody waited for it; and only then the usual mistake of the check.
"""

from __future__ import annotations

import re

from compare.check import symptoms
from compare.check.postmortem import (
    LISTENER,
    RECEIVING,
    SENDING,
    SLEEPING,
    WAITING_FOR_ANY,
    Conn,
    Look,
)

MANY = 100  # clients one after the other
MANY_AREAS = 10_000  # of memory: two for each thread whose stack is there
FEW_THREADS = 64
ONE_READ = 16 * 1024  # bytes, and as many as most programs ask for at a time
SHORT = 128  # of a backlog: what many programs take for large
_ENDINGS = (  # what stands in its status or in its last words, and what it is a sign of
    (r"killed by SIGPIPE", symptoms.SIGPIPE),
    (r"killed by SIGSEGV|killed by SIGABRT|killed by SIGBUS", symptoms.MEMORY_FAULT),
    (r"filedescriptor out of range in select|FD_SETSIZE|buffer overflow detected", symptoms.SELECT),
    (r"Too many open files|EMFILE", symptoms.DESCRIPTORS),
    (r"UnicodeDecodeError|MalformedInputException|invalid utf-8|InvalidUtf8", symptoms.DECODED),
    (r"BlockingIOError|EAGAIN|EWOULDBLOCK|Resource temporarily unavailable", symptoms.AGAIN),
    (
        r"BrokenPipe|ConnectionReset|ConnectionAborted|ECONNRESET|EPIPE|Broken pipe|reset by peer",
        symptoms.UNCAUGHT,
    ),
    (r"Transport endpoint is not connected|ENOTCONN|Invalid argument|EINVAL", symptoms.UNCAUGHT),
    (r"is already registered|File exists|EEXIST", symptoms.REGISTERED),
    (r"Bad file descriptor|EBADF|KeyError|fileno", symptoms.FORGOTTEN),
    (r"MemoryError|OutOfMemory|heap out of memory|killed by SIGKILL", symptoms.OUT_OF_MEMORY),
    (r"Interrupted system call|InterruptedError|EINTR\b", symptoms.INTERRUPTED),
    (r"exit status 0", symptoms.OVER),
)


_MADE_TO_END = (
    *("tcp/5-idle", "tcp/6", "tcp/7", "tcp/16", "tcp/17", "tcp/18", "udp/6", "chat/2"),
    *("tcp/27", "udp/12", "chat/16", "fr/6", "fr/7", "later/4", "life/5"),
)
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*$", re.MULTILINE)
_ORDINARY = re.compile(r"Connection\w*Error|BrokenPipe|Timeout|Interrupt")  # as others are gone
_OF_CLIENTS_TOO = (symptoms.MEMORY_FAULT, symptoms.SELECT, symptoms.DECODED, symptoms.AGAIN)


def of_ending(ending: str) -> str:
    """What a server that ended without having been told to did wrong, by how it ended."""
    return next((likely for signs, likely in _ENDINGS if re.search(signs, ending)), "")


def of_unknown_ending(check: str, usual: str) -> str:
    """The same where nothing shows it: the usual mistake of checks that are made to end servers."""
    return usual if check in _MADE_TO_END else symptoms.ENDED


def of_clients_ending(ending: str, *, input_has_ended: bool) -> str:
    """The same of a client: what it is a sign of there, and not in a server only."""
    likely = of_ending(ending)
    if likely == symptoms.OVER:
        return symptoms.LEFT_EARLY if input_has_ended else ""
    return likely if likely in _OF_CLIENTS_TOO else ""


def of_words(stderr: str) -> str:
    """What is said of an exception that a thread ended by, and the server with it or not."""
    if "Traceback (most recent call last)" not in stderr:
        return ""
    found = [each for each in _RAISED.findall(stderr) if not _ORDINARY.search(each)]
    return symptoms.RAISED.format(last=f"{found[-1][:120].rstrip('.')}.") if found else ""


def of_close(look: Look, came: int | None) -> str:
    """Why it has closed a connection that its client goes on using, where that can be seen.

    came: bytes of an answer, where that is known. More than one recv() gives are no answer to
    what came first.
    """
    in_accept = [each for each in look.doing if each.whom == LISTENER and each.call is not None]
    few = came is not None and came < ONE_READ
    return symptoms.ONCE if few and _alone(look) and in_accept else ""


def of_crowd(look: Look, *, held: bool = False) -> str:
    """Why not all of a crowd that came at once were served. held: and stayed."""
    listener = look.listener
    if listener is not None and 0 < listener.unsent < SHORT:
        return symptoms.BACKLOG.format(backlog=listener.unsent)
    by_select = any(each.call in ("select", "pselect6") for each in look.doing)
    return symptoms.SELECT if held and by_select else ""


def of_no_end(look: Look) -> str:
    """Why those are not let go who have had all, and have closed their side."""
    left = [each for each in look.conns if each.state == "CLOSE_WAIT" and each.held]
    by_edge = bool(left) and all("ET" in (each.watched or "") for each in left)
    return symptoms.EDGE_OF_END if by_edge else symptoms.NO_END


def of_thousands(look: Look, clients: int, areas: int) -> str:
    """What is left of each client that has ended. areas: of memory that it has mapped."""
    if areas > MANY_AREAS > FEW_THREADS > len(look.doing) > 0:
        return symptoms.NOT_JOINED.format(clients=f"{clients:,}")
    return symptoms.DESERTED if clients > MANY and _deserts(look) else ""


def _deserts(look: Look) -> bool:
    """Whether all its threads are in accept(), and hold connections that wait for one."""
    left = [each for each in look.conns if each.held and each.state == "CLOSE_WAIT"]
    return bool(left) and all(each.whom == LISTENER and each.call for each in look.doing)


def are_together(look: Look) -> bool:
    """Whether several threads wait for what one connection says; there is one who hears it."""
    reading = [each.whom for each in look.doing if each.call in RECEIVING and each.whom]
    sending = [each.whom for each in look.doing if each.call in SENDING and each.whom]
    return any(len(each) > len({*each}) for each in (reading, sending))


def of_look(look: Look, waiting: str | None) -> str:
    """Why the client `waiting` waits, or "" where that cannot be seen.

    None where it is not known that anybody does; newcomers may.
    """
    conn = look.of(waiting) if waiting else None
    if likely := _of_listener(look, conn):
        return likely
    if waiting is None or not look.doing:
        return ""
    return _of_thread(look, waiting, conn) or (_of_interest(look, conn) if conn else "")


def _alone(look: Look) -> bool:
    """Whether it has nobody else who could do the work."""
    return len(look.doing) == 1


def _of_thread(look: Look, waiting: str, conn: Conn | None) -> str:
    """Its threads are somewhere else."""
    others = [each for each in look.doing if each.whom not in (None, waiting, LISTENER)]
    idle = conn is not None and (conn.unread > 0 or not conn.held)
    if all(each.state == "R" for each in look.doing):
        return of_running(look)
    if all(each.call in SLEEPING for each in look.doing):
        return symptoms.SLEEPS
    if idle and len(others) == len(look.doing):
        whom = others[0].whom
        if all(each.call in SENDING for each in others):
            return symptoms.BLOCKED_IN_SEND.format(whom=whom)
        if all(each.call in RECEIVING for each in others):
            return symptoms.BLOCKED_IN_RECV.format(whom=whom)
    locked = [each for each in look.doing if each.call == "futex"]
    if locked and any(each.call in SENDING for each in others):
        return symptoms.LOCKED
    if idle and len(locked) == len(look.doing):
        return symptoms.LOCKED
    if _alone(look) and conn is not None and conn.unread and look.doing[0].whom == LISTENER:
        return symptoms.NEXT_ONE
    return _of_locks(look, conn) if locked and not look.by_epoll else ""


def _of_locks(look: Look, conn: Conn | None) -> str:
    """Some of its threads wait for another one, which may have a client to wait for."""
    locked = sum(each.call == "futex" for each in look.doing)
    busy = [each for each in look.doing if each.whom not in (None, LISTENER)]
    if not busy and conn and conn.state == "CLOSE_WAIT" and not conn.unread and not conn.unsent:
        return symptoms.NO_END  # it has had all, and need not wait for anybody
    held = sum(each.held and each.state != "LISTEN" for each in look.conns)
    if any(each.whom == LISTENER for each in look.doing):
        return symptoms.LOCKED if locked + len(busy) == held else ""
    if busy and look.listener is not None and look.listener.unread:
        return symptoms.JOINED.format(whom=busy[0].whom)
    return ""


def of_running(look: Look) -> str:
    """Why it uses CPU while nobody asks anything of it."""
    if any(each.watched and "OUT" in each.watched and not each.unsent for each in look.conns):
        return symptoms.ALWAYS_OUT
    if any(each.state == "CLOSE_WAIT" and each.held for each in look.conns):
        return symptoms.END_AGAIN
    conns = [each for each in look.conns if each.held and each.state != "LISTEN"]
    if any(each.unread and not each.unsent for each in conns):
        return symptoms.PASSED_OVER
    return symptoms.SPINS


def _of_listener(look: Look, conn: Conn | None) -> str:
    """Nobody takes from the queue."""
    listener = look.listener
    if listener is None or listener.unread == 0 or (conn is not None and conn.held):
        return ""
    if listener.unread > listener.unsent > 0 and conn is None:
        return symptoms.BACKLOG.format(backlog=listener.unsent)
    # Who is about to run has been woken by it.
    waits = any(each.call in WAITING_FOR_ANY and each.state != "R" for each in look.doing)
    if not waits:
        return ""
    if listener.watched and "ET" in listener.watched:
        return symptoms.EDGE_OF_LISTENER
    if not look.by_epoll:
        return symptoms.LISTENER_UNASKED
    return "" if listener.watched else symptoms.LISTENER_UNWATCHED


def _of_interest(look: Look, conn: Conn) -> str:
    """It waits, but not for this client, or for something that has come already."""
    waits = any(each.call in WAITING_FOR_ANY for each in look.doing)
    if waits and not look.by_epoll and conn.held and conn.unread and not conn.unsent:
        return symptoms.UNASKED
    if not (waits and look.by_epoll and conn.held):
        return symptoms.NO_END if conn.state == "CLOSE_WAIT" and not conn.unread else ""
    if conn.unread and conn.watched and "ET" in conn.watched:
        return symptoms.EDGE
    if conn.unread and not conn.unsent and "IN" not in (conn.watched or ""):
        return symptoms.UNWATCHED
    if conn.state == "CLOSE_WAIT" and not conn.unread and not conn.unsent:
        return symptoms.NO_END
    return ""
