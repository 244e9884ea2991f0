"""How a TCP client ends: the server has gone, was never there, or does not take it."""

from __future__ import annotations

import socket
import time

from compare.check.bench import END_S
from compare.check.blame import Skipped
from compare.check.catalogue import check
from compare.check.client_bench import ClientBench
from compare.check.failure import Failed
from compare.check.wire import wait_until
from compare.host import sock_diag
from compare.host.place import Place, socket_rows

SYN_SENT = "02"  # tcp_states.h, as /proc/net/tcp has it
SYN_AGAIN_S = 1.0  # after which a SYN that was lost is sent again, RFC 6298, 2.1
FULL_S = 0.1  # in which a connect() is through that is not lost


def _must_notice(bench: ClientBench, what: str) -> None:
    """It ends, or says something; and if it goes on, it rests."""
    if not wait_until(
        lambda: bench.program.status() is not None or bench.said(), max(1.0, bench.patience)
    ):
        raise Failed(f"it to say that {what}, or to end", "it goes on, without a word")
    if bench.program.ends_within(END_S):  # what is said may be the beginning of more
        bench.must_end(f"a word that {what}, or the end")
        return
    bench.must_rest_or_end("after that")


@check(
    "cl/6",
    "client",
    what="The server ends the connection; within a second the client must say so, or end, without "
    "a trace of calls, and without being busy if it goes on.",
    why="Else a person types on to nobody.",
    mistake="recv() that returns 0 means the end: it is taken for an empty message, again and "
    "again; or nobody looks, since the program waits for the keyboard.",
    calls="recv(2): 0; epoll_wait(2): EPOLLRDHUP.",
)
def notices_the_end(bench: ClientBench) -> None:
    _must_notice_the_end(bench, word=False)


@check(
    "cl/6-said",
    "client",
    what="The server ends the connection while more may be typed; the client must say so in a "
    "line, whether it ends or goes on.",
    why="A program that ends without a word leaves a person guessing whose doing that was.",
    mistake="exit() where recv() returns 0, without a word before it.",
    calls="recv(2): 0; write(2) to descriptor 2.",
    strict=True,
    needs="cl/6",
)
def tells_of_the_end(bench: ClientBench) -> None:
    _must_notice_the_end(bench, word=True)


def _must_notice_the_end(bench: ClientBench, *, word: bool) -> None:
    wire = bench.meet()
    bench.mark()
    wire.close()
    _must_notice(bench, "the server has closed")
    bench.must_be_brief("the server has closed", word=word)


@check(
    "cl/7",
    "client",
    what="The server resets the connection; the client must say so in a line, without a trace of "
    "calls.",
    why="It is what a crash of the server, or of a router between, looks like; and what was sent "
    "last may be lost.",
    mistake="ECONNRESET from recv() or send() that nobody catches, or that is taken for an "
    "ordinary end.",
    calls="recv(2): ECONNRESET; send(2): EPIPE.",
)
def tells_of_a_reset(bench: ClientBench) -> None:
    wire = bench.meet()
    bench.mark()
    wire.reset()
    _must_notice(bench, "the connection is lost")
    bench.must_be_brief("the connection is lost")


@check(
    "cl/8",
    "client",
    what="Nobody listens at the port; the client must say so in a line that names it, without a "
    "trace of calls, and end with a status that is not 0.",
    why="A wrong port is the commonest mistake of all, and scripts look at the status.",
    mistake="ECONNREFUSED that nobody catches; or it is caught, and the status is 0.",
    calls="connect(2): ECONNREFUSED; exit(3).",
)
def tells_that_nobody_listens(bench: ClientBench) -> None:
    place = Place("tcp", *bench.listener(listens=False).getsockname())
    bench.begin(place)
    status = bench.must_end("it to end, as nobody listens", bench.start_s + bench.patience)
    said = bench.must_be_brief(f"nobody listens at port {place.port}")
    if str(place.port) not in said:
        raise Failed(f"a line that names port {place.port}", f"it said {said!r}")
    if status == 0:
        raise Failed("an exit status that is not 0", "it was 0")


@check(
    "cl/11",
    "client",
    what="The server's accept queue is full, so that connect() is not answered. A line is typed: "
    "it must be read from the keyboard meanwhile, and the client give up with a line in the "
    "declared time; where room is made in that time, the line must come.",
    why="Else a client stands still for two minutes, and a person cannot tell why.",
    mistake="A blocking connect() before anything else: O_NONBLOCK, EINPROGRESS, EPOLLOUT, and "
    "then SO_ERROR; or a thread. And a time limit, which the kernel's is not.",
    calls="connect(2): EINPROGRESS; getsockopt(2): SO_ERROR; tcp(7): TCP_SYNCNT.",
    limit="connect",
)
def connects_in_time(bench: ClientBench) -> None:
    if bench.limit < 2 * SYN_AGAIN_S:
        raise Skipped("what is lost is sent again after 1 s: declare --limit connect=2s or more")
    line = f"{bench.word()}\n".encode()
    listener, waiting = _full(bench)
    began = _wait_for_syn(bench, listener)
    bench.type(line)
    if not wait_until(lambda: bench.program.untaken() == 0, min(bench.patience, bench.limit / 2)):
        raise Failed("the keyboard to be heard while it connects", "nothing was read")
    within = began + bench.limit + bench.patience - time.monotonic()
    status = bench.must_end(f"it to give up in {bench.limit:g} s", within)
    bench.must_be_brief("the server does not answer")
    if status == 0:
        raise Failed("an exit status that is not 0", "it was 0")
    waiting.close()
    listener, waiting = _full(bench)
    _wait_for_syn(bench, listener)
    bench.type(line)
    listener.accept()[0].close()
    bench.timeline.note("server", "accept()", "room for one")
    bench.must_hear(bench.accept(listener, usual=False), line, "the line, once there is room")


def _full(bench: ClientBench) -> tuple[socket.socket, socket.socket]:
    """A listener that takes nobody any more, and who is in its queue."""
    listener = bench.listener(backlog=0)
    waiting = bench.keep(socket.create_connection(listener.getsockname(), bench.patience))
    with socket.socket() as probe:
        probe.settimeout(FULL_S)
        try:
            probe.connect(listener.getsockname())
        except TimeoutError:
            return listener, waiting
    raise Skipped("this machine takes connections beyond the backlog: a queue cannot be full")


def _wait_for_syn(bench: ClientBench, listener: socket.socket) -> float:
    """Start the client; when it was first seen to be connecting."""
    place = Place("tcp", *listener.getsockname())
    bench.begin(place)
    if not wait_until(lambda: _is_asked(place) or bench.ending(), bench.start_s):
        raise Failed("it to connect", "it did not")
    return time.monotonic()


def _is_asked(place: Place) -> bool:
    """Whether somebody is connecting to it."""
    try:
        # Where 80,000 are in TIME_WAIT this takes some milliseconds, and to read of them a second.
        there = sock_diag.sockets(place.port)
        return any((each.state, each.remote.port) == ("SYN_SENT", place.port) for each in there)
    except OSError:  # no netlink here
        rows = map(str.split, socket_rows("tcp"))
        port = f":{place.port:04X}"
        return any(row[2].endswith(port) and row[3] == SYN_SENT for row in rows)
