"""A server's life: told to stop, started again, and started where another one is."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import ssl
import subprocess
import time

from compare.check import symptoms
from compare.check.bench import Bench, Skipped
from compare.check.catalogue import SERVERS, check
from compare.check.failure import Failed, must_equal
from compare.check.hello import STREAMS
from compare.check.wire import Wire, wait_until
from compare.host import process
from compare.host.launch import WELL_ENDED, LaunchError, UnableError, kill, start
from compare.host.machine import tcp_ext
from compare.host.tail import Tail

AT_WORK = 0.01  # of a core: who waits for ever uses less
NAMELESS = (
    "The error's own words do not say what is taken: put the address and the port into the line."
)
LATER = 5  # times as long as is usual


def _stop(bench: Bench, within: float) -> None:
    """SIGTERM, and it must end well."""
    began = time.monotonic()
    bench.terminate()
    if not wait_until(lambda: bench.ending() is not None, within):
        raise Failed(f"the server to end within {within:.1f} s of SIGTERM", "it goes on")
    bench.timeline.note("server", "ended", f"after {time.monotonic() - began:.2f} s")
    if (status := bench.server.status()) not in WELL_ENDED:
        raise Failed("exit status 0, or the end by that signal", f"{bench.ending()} ({status})")


def _ends(program: subprocess.Popen[bytes], within: float) -> bool:
    """Whether it ends within so long, or later, but at work until then: others may have the CPU."""
    used = 0
    for _ in range(LATER):
        if wait_until(lambda: program.poll() is not None, within):
            return True
        try:
            before, used = used, process.cpu_of_tree_ns(program.pid)
        except ProcessLookupError:  # it has ended since
            return True
        if used - before < AT_WORK * within * 1e9:
            return False
    return False


def _still_listens() -> Failed:
    actual = "somebody still listens: a child that lives on?"
    return Failed("newcomers to be refused", actual, likely=symptoms.LISTENS)


@check(
    "life/1",
    *SERVERS,
    what="SIGTERM while idle, with a client connected; the server must end well within a second, "
    "and refuse whoever comes then.",
    why="It is how every service manager and container stops a program, before it kills.",
    mistake="A loop that catches the interruption and goes on; a thread that nobody tells; waiting "
    "for a client that says nothing.",
    calls="signal(7): SIGTERM; accept(2), epoll_wait(2): EINTR.",
    inside=True,
)
def ends_when_told(bench: Bench) -> None:
    if bench.place.scheme == "tcp":
        wire = bench.connect()
        bench.greet(wire)
    _stop(bench, max(1.0, bench.patience))
    if bench.place.is_taken():
        raise _still_listens()


@check(
    "tcp/19",
    *STREAMS,
    "chat",
    what="The server ends first, so that its port is in TIME_WAIT, and is started there again; it "
    "must listen.",
    why="Else every restart means a minute of not being there.",
    mistake="No SO_REUSEADDR before bind().",
    calls="setsockopt(2): SO_REUSEADDR; bind(2): EADDRINUSE.",
    inside=True,
)
def restarts(bench: Bench) -> None:
    if not bench.subject.takes_a_port:
        raise Skipped("the command has no {port}, so it cannot be started where it was")
    wire = bench.connect()
    bench.greet(wire)
    place, port = bench.place, wire.sock.getsockname()[1]
    overflows = tcp_ext("TCPTimeWaitOverflow")
    bench.terminate()
    if not wait_until(lambda: bench.ending() is not None, bench.patience):
        actual = "it goes on, long after SIGTERM"
        raise Failed("the server to end", actual, likely=symptoms.GOES_ON)
    if not bench.wait_until(lambda: not place.is_taken()):
        raise _still_listens()
    # A process of this client's own may serve it on, and then ends below, before us, too.
    if wire.poll(0, write=False)[0]:
        wire.close()
    forgotten = not place.remembers(port)
    try:
        bench.start(place)
    except UnableError:
        raise
    except LaunchError as error:
        raise Failed("the server to start again at the same port", str(error)) from None
    bench.connect()
    if forgotten and tcp_ext("TCPTimeWaitOverflow") > overflows:
        raise Skipped(
            "this machine's table of TIME_WAIT is full, so that the port was free at once: wait "
            "for a minute, or sysctl -w net.ipv4.tcp_max_tw_buckets=1048576 (as root)"
        )


@check(
    "life/6",
    *SERVERS,
    what="Started where another program listens; it must say so in a line that names the port, and "
    "end with a status that is not 0.",
    why="It is the commonest failure of all, and a page of traceback hides the one fact.",
    mistake="An exception of bind() that nobody catches; going on without a socket, or trying "
    "again for ever; SO_REUSEPORT, or for UDP SO_REUSEADDR, by which two servers have the same "
    "port and each gets some of what comes.",
    calls="bind(2): EADDRINUSE; exit(3).",
    inside=True,
)
def port_is_taken(bench: Bench) -> None:
    subject = bench.subject
    if not subject.takes_a_port:
        raise Skipped("the command has no {port}, so it cannot be started where another one is")
    second = start(
        subject.argv(bench.place),
        (),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=subject.cwd,
        env=subject.env,
    )
    assert second.stdin is not None
    assert second.stdout is not None
    assert second.stderr is not None
    with second.stdin:  # open, and nobody types
        said, out = Tail(os.dup(second.stderr.fileno())), Tail(os.dup(second.stdout.fileno()))
        try:
            if not _ends(second, 2 * (bench.patience + bench.server.started_s)):
                raise Failed("it to end, as it cannot listen", "it goes on")
        finally:
            kill(second)
    bench.timeline.note("server", "a second one ended", str(second.returncode))
    lines, more = (
        each.whole(bench.patience).decode(errors="replace").strip().splitlines()
        for each in (said, out)
    )
    if second.returncode == 0:
        raise Failed("an exit status that is not 0", "it was 0")
    traced = "Traceback (most recent call last):" in (*lines, *more)
    if traced or len(lines) > 3:
        actual = f"{len(lines) or len(more)} lines, the last {(lines or more)[-1]!r}"
        raise Failed("one line that says which port is taken, or three at most", actual)
    if not any(str(bench.place.port) in line for line in (*lines, *more)):
        said_it = f"it said {lines or more or 'nothing'}"
        likely = NAMELESS if lines or more else ""
        raise Failed(f"a line that names port {bench.place.port}", said_it, likely=likely)


@check(
    "life/2",
    "tcp-echo",
    what="SIGTERM while a client has bytes pending and another one has stalled; the first must get "
    "all of them, and the server must end within the declared drain time and a second.",
    why="A restart must not cost anybody an answer that was begun.",
    mistake="exit() in the signal handler; or waiting for the stalled one for ever.",
    calls="shutdown(2), close(2), SO_LINGER: socket(7).",
    limit="drain",
    together=True,
    inside=True,
    needs="tcp/1",
)
def drains(bench: Bench) -> None:
    data = random.Random(bench.seed).randbytes(1024 * 1024)
    stalled = bench.connect()
    stalled.send_until_stuck(data, 0.3, times=48)
    wire = bench.connect()
    wire.send(data[: 128 * 1024])
    wire.wait_until_delivered()  # what is on its way is nobody's yet
    with bench.stopped():
        bench.terminate()
    must_equal(wire.receive_rest(), data[: 128 * 1024], "all that was pending at SIGTERM")
    within = bench.limit + 1 + bench.patience
    if not wait_until(lambda: bench.ending() is not None, within):
        raise Failed(f"the end within {within:.1f} s", "the server goes on")


@check(
    "life/2-last",
    "tcp-echo",
    what="SIGTERM while a line of a client has come and was not read yet; the client must get it "
    "back, and then the end and no reset, and the server must end within the declared drain time "
    "and a second.",
    why="A restart must not cost anybody an answer to what had arrived.",
    mistake="No handler, so that the server ends where it stands; or exit() in the handler. What "
    "is unread then makes close() a reset.",
    calls="sigaction(2); shutdown(2): SHUT_RD leaves what has come to be read; close(2).",
    limit="drain",
    inside=True,
)
def answers_the_last(bench: Bench) -> None:
    wire, line = bench.connect(), b"the last line\n"
    bench.greet(wire)
    with bench.stopped():
        wire.send(line)
        wire.wait_until_delivered()
        bench.terminate()
    what = "what had come at SIGTERM back, and then the end"
    within = bench.limit + 1 + bench.patience
    answer, deadline = b"", time.monotonic() + within
    while len(answer) < len(line) and (piece := wire.receive_some()):
        answer += piece
    while piece := wire.receive_some(within=max(0.0, deadline - time.monotonic())):
        answer += piece
    must_equal(answer, line, what)
    wire.close()
    if not wait_until(lambda: bench.ending() is not None, within):
        raise Failed(f"the end within {within:.1f} s", "the server goes on")


@check(
    "life/2-twice",
    "tcp-echo",
    what="SIGTERM while a client has stalled, and again when newcomers are refused; the second one "
    "must end the server at once.",
    why="Who asks twice does not want to wait.",
    mistake="A handler that begins to drain anew, or that ignores what it has heard before.",
    calls="sigaction(2): SA_RESETHAND, or SIG_DFL in the handler.",
    limit="drain",
    inside=True,
)
def told_twice(bench: Bench) -> None:
    data = random.Random(bench.seed).randbytes(1024 * 1024)
    bench.connect().send_until_stuck(data, 0.3, times=48)
    bench.terminate()
    if not wait_until(lambda: not bench.place.is_taken(), bench.patience):
        raise Failed("newcomers to be refused after SIGTERM", "they are not")
    _stop(bench, max(1.0, bench.patience))


@check(
    "life/3",
    "tcp-echo",
    what="Of a TLS server: one client says nothing, another speaks no TLS; both must be gone at "
    "the declared handshake limit, and who shakes hands must be served.",
    why="Before the handshake anybody can hold a place, and costs nothing to do so.",
    mistake="do_handshake() in the accept loop, which one silent client stops; or no time limit.",
    calls="SSL_do_handshake(3) on a non-blocking socket; close(2).",
    limit="handshake",
    together=True,
)
def handshakes(bench: Bench) -> None:
    silent, plain, began = bench.connect(), bench.connect(), time.monotonic()
    plain.send(b"GET / HTTP/1.0\r\n\r\n")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is not who is asked
    wire = bench.connect()
    wire.sock.settimeout(bench.patience)
    try:
        with context.wrap_socket(wire.sock) as secure:
            wire.note("SSL_connect()", secure.version() or "")
            secure.sendall(b"hello")
            must_equal(secure.recv(100), b"hello", "the echo over TLS")
    except (OSError, ValueError) as error:
        raise Failed("a TLS client to be served beside them", str(error)) from None
    within = bench.limit * 1.5 + bench.patience
    silent.must_end(began + within - time.monotonic(), f"the silent one gone in {bench.limit:g} s")
    with contextlib.suppress(Failed):  # an alert may come before the end
        plain.receive_some(within=within)
    plain.must_end(within, "the one that speaks no TLS gone")


@check(
    "life/5",
    "tcp-echo",
    what="One of the declared worker processes is killed; only its own connections may be lost, "
    "and they must end at once; newcomers must be served.",
    why="Workers are there so that one that dies takes only its share along.",
    mistake="A connection that a parent or a sibling keeps open, too, hangs when its worker is "
    "gone; a parent that ends with its first child.",
    calls="fork(2): descriptors are inherited; setsockopt(2): SO_REUSEPORT; waitpid(2).",
    limit="workers",
    inside=True,
)
def worker_killed(bench: Bench) -> None:
    def children() -> list[int]:
        return process.tree(bench.server.pid)[1:]

    if not bench.wait_until(lambda: len(children()) >= bench.limit):
        raise Failed(f"{bench.limit:g} workers", f"it has {len(children())} child processes")
    before = {pid: process.count_descriptors(pid) for pid in children()}
    wires: list[Wire] = []

    def held() -> dict[int, int]:
        return {pid: process.count_descriptors(pid) - count for pid, count in before.items()}

    def are_spread() -> bool:
        for _ in range(8):
            wires.append(bench.connect())
            wires[-1].exchange(b"hello")
        return sum(count > 0 for count in held().values()) > 1

    if not bench.wait_until(are_spread):
        raise Failed("connections to be spread over the workers", f"they hold {held()}")
    victim = max(held(), key=held().__getitem__)
    bench.timeline.note("server", f"SIGKILL to process {victim}")
    os.kill(victim, signal.SIGKILL)
    lost = sum(_has_ended(wire, bench.patience / 10) for wire in wires)
    if not 0 < lost < len(wires):
        raise Failed(
            "the connections of one worker to end",
            f"{lost} of {len(wires)} did, when one of {len(before)} was killed",
        )
    for _ in range(8):
        bench.must_serve("newcomers to be served by those that are left")


def _has_ended(wire: Wire, within: float) -> bool:
    """Whether it has ended, or does so now; one that has not must be served."""
    if not wire.poll(within, write=False)[0]:
        try:
            wire.exchange(b"and you?", "the connections of the others to be served")
            return False
        except Failed:
            if not wire.poll(wire.patience, write=False)[0]:
                raise
    wire.must_end(0, "the end")
    return True
