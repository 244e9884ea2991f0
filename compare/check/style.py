"""How a server is made, where that is the task: seen from its processes while it serves."""

from __future__ import annotations

import contextlib

from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.hello import STREAMS, begun
from compare.check.postmortem import Conn
from compare.host import process

ONE_THREAD = "one-thread"
SENT = 64 * 1024
BESIDE = "while a client is active, one is silent and one stands in the middle of a message"


@check(
    "nb/1",
    *STREAMS,
    "chat",
    what="Looks at the server's threads, child processes and connections, before anybody is there, "
    "while clients are silent, active and in the middle of a message, and after they have left: "
    "it must be one thread, without children, and each connection non-blocking.",
    why="One thread that never waits for a single client serves ten thousand of them.",
    mistake="A thread or a process for each client, or a pool of them; accept() without "
    "SOCK_NONBLOCK: on Linux what it returns does not inherit that from the listening socket.",
    calls="accept4(2): SOCK_NONBLOCK; fcntl(2): O_NONBLOCK; proc_pid_fdinfo(5).",
    together=True,
    inside=True,
    style=ONE_THREAD,
)
def one_thread(bench: Bench) -> None:
    profile = bench.subject.profile
    _must_be_one(bench, "before anybody has connected")
    silent, active, half = bench.connect(), bench.connect(), bench.connect()
    bench.greet(active)
    if profile != "chat":
        with contextlib.suppress(Failed):
            half.send_until_stuck(begun(profile, bytes(SENT), bench.subject.variant), 0)
    bench.wait_until(lambda: len(_held(bench)) >= len((silent, active, half)))
    _must_be_one(bench, BESIDE)
    if not (held := _held(bench)):
        raise Failed("to see the connections that it has accepted", "it holds none")
    for conn in held:
        if conn.blocking:
            raise Failed(
                "each accepted connection non-blocking",
                f"the descriptor of {conn.whose} has no O_NONBLOCK",
            )
    for wire in (silent, active, half):
        wire.close()
    _must_be_one(bench, "after they have left")


def _must_be_one(bench: Bench, when: str) -> None:
    size, processes = process.size(bench.server.pid), process.tree(bench.server.pid)
    if len(processes) > 1:
        raise Failed(f"one process {when}", f"it has {len(processes) - 1} child processes")
    if size.threads != 1:
        raise Failed(f"one thread {when}", f"it has {size.threads} threads")


def _held(bench: Bench) -> list[Conn]:
    """The connections that the server has accepted."""
    return [each for each in bench.look().conns if each.held and each.state != "LISTEN"]
