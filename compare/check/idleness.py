"""A server that has nothing to do: it waits, and uses no CPU."""

from __future__ import annotations

import contextlib
import random
import socket
import time

from compare.check import diagnosis, symptoms
from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.hello import STREAMS
from compare.check.udp import ask
from compare.host import process

MIB = 1024 * 1024
WINDOW_S = 0.1
SPIN = 0.2  # of a core
STUCK_S = 0.2
UNREAD = 16 * MIB
MISTAKE = (
    "Sockets asked in turn without waiting; EPOLLOUT left on when all is sent, or EPOLLIN after "
    "the end; an error or urgent data that is told again and again, as nobody takes it; EAGAIN "
    "tried again at once."
)
CALLS = "epoll_wait(2), poll(2): they return at once for as long as what was asked for is so."


def must_rest(bench: Bench, when: str) -> None:
    """It comes to want less than a fifth of a core."""
    share = least_share(bench.server.pid, bench.patience)
    if ending := bench.ending():
        what = f"the server to be there {when}"
        raise Failed(what, f"it has ended: {ending}", likely=symptoms.ENDED)
    likely = diagnosis.of_running(bench.look()) if share > SPIN else ""
    must_be_little(share, when, bench.patience, likely)


def must_be_little(share: float, when: str, patience: float, likely: str = "") -> None:
    """Raises Failed for a share of a core that is none of one that waits."""
    if share > SPIN:
        raise Failed(
            f"next to no CPU time {when}",
            f"it ran or wanted to for {min(share, 1):.0%} of the time, {patience:.0f} s long",
            likely=likely,
        )


def least_share(pid: int, patience: float) -> float:
    """Of a core, which a process and its children come to want within so long."""
    deadline = time.monotonic() + patience
    share = _share(pid)
    while share > SPIN and time.monotonic() < deadline:
        share = _share(pid)
    return share


def _share(pid: int) -> float:
    """How much of the time it ran or was ready to: on a busy machine who spins mostly waits."""
    before, began = _busy_ns(pid), time.monotonic_ns()
    time.sleep(WINDOW_S)
    share = (_busy_ns(pid) - before) / (time.monotonic_ns() - began)
    # How long somebody has waited for a core is known when he gets one.
    return 1.0 if share <= SPIN and process.is_runnable(pid) else share


def _busy_ns(pid: int) -> int:
    try:
        usage = process.usage(pid)
    except ProcessLookupError:  # who asked says how it ended
        return 0
    return usage.cpu_ns + usage.wait_ns


@check(
    "tcp/25",
    *STREAMS,
    "chat",
    what="Looks at the server's CPU time while there is nothing to do: while nobody is there, "
    "beside a silent client, one that does not read and one that has read all at last, after a "
    "half-close with bytes pending, an urgent byte, a reset and an end.",
    why="A loop that never waits takes a whole core from everybody else, and nobody notices.",
    mistake=MISTAKE,
    calls=CALLS,
    inside=True,
)
def rests(bench: Bench) -> None:
    must_rest(bench, "while nobody is connected")
    silent = bench.connect()
    if bench.subject.profile != "chat":
        with contextlib.suppress(Failed):  # what comes back is another check's business
            bench.greet(silent)
    must_rest(bench, "beside a client that says nothing")
    silent.note("send(1, MSG_OOB)")
    silent.sock.send(b"!", socket.MSG_OOB)
    must_rest(bench, "after an urgent byte")
    silent.close()
    must_rest(bench, "after a client has left")
    gone = bench.connect()
    gone.reset()
    must_rest(bench, "after a reset")
    if bench.subject.profile == "tcp-echo":
        _rests_beside_data(bench)


def _rests_beside_data(bench: Bench) -> None:
    """What becomes of these clients' data is another check's business."""
    data = random.Random(bench.seed).randbytes(MIB)
    late = bench.connect()
    with contextlib.suppress(Failed):
        late.send_until_stuck(data, STUCK_S, UNREAD // MIB)
    must_rest(bench, "beside a client that does not read")
    unread = UNREAD
    with contextlib.suppress(Failed):
        while unread > 0 and (piece := late.receive_some(within=STUCK_S)):
            unread -= len(piece)
    must_rest(bench, "beside a client that has read all at last")
    late.close()
    half = bench.connect()
    with contextlib.suppress(Failed):
        half.send_until_stuck(data, STUCK_S, UNREAD // MIB)
        half.half_close()
    must_rest(bench, "beside a client that has closed its side and does not read")
    half.reset()
    must_rest(bench, "after a reset with bytes pending")


@check(
    "udp/8",
    "udp-echo",
    what="Looks at the server's CPU time while there is nothing to do: before anybody asks, after "
    "an answer, after an empty datagram, and after an answer that was refused.",
    why="A loop that never waits takes a whole core from everybody else, and nobody notices.",
    mistake="recvfrom() without waiting, in a loop; an error of the socket that is told again and "
    "again, as nobody takes it.",
    calls=CALLS,
    inside=True,
)
def rests_between_datagrams(bench: Bench) -> None:
    must_rest(bench, "before anybody has asked")
    ask(bench, bench.datagrams(), b"hello", "a datagram back")
    must_rest(bench, "after an answer")
    with bench.datagrams() as sock:
        sock.send(b"")
    must_rest(bench, "after an empty datagram")
    with bench.stopped():
        gone = bench.datagrams()
        gone.send(b"hello")
        gone.close()
    must_rest(bench, "after an answer that was refused")
