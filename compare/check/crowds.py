"""TCP echo for several clients at the same time: all are served, and each gets its own."""

from __future__ import annotations

import random
import select
import socket
from pathlib import Path

from compare.check import diagnosis, symptoms
from compare.check.bench import Bench
from compare.check.blame import Skipped, of_this_machine
from compare.check.catalogue import check
from compare.check.failure import FEW, RECOGNISED, Differs, Failed, must_equal
from compare.check.hello import STREAMS, hello
from compare.check.idleness import must_rest
from compare.check.wire import Wire
from compare.host import sock_diag

KIB, MIB = 1024, 1024 * 1024
CROWD = 1000
HELD = 1024  # so that some descriptor of the server's is beyond FD_SETSIZE: it has others, too
QUEUED = 300
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
CLIENTS = 5
EACH = 8 * MIB  # more than the kernel keeps for one who does not read
BLOCK = 999_983  # of which it consists, again and again: no buffer has that length
MOST = 64 * KIB  # that is read at a time
FULL_MS = 100
SOON_S = 0.02  # a server that reads at all does so within


def _crowd(bench: Bench, *, held: bool) -> None:
    """Connect so many clients at once; each stays until all are served, or leaves on its own."""
    many = HELD if held else CROWD
    bench.must_have_room_for(many)
    subject = bench.subject
    wires = [bench.connect(at_once=True) for _ in range(many)]
    hellos = {
        wire.sock.fileno(): hello(subject.profile, n, subject.variant)
        for n, wire in enumerate(wires)
    }
    answer = {fd: each.heard for fd, each in hellos.items()}
    received = dict.fromkeys(answer, b"")
    sockets = {wire.sock.fileno(): wire.sock for wire in wires}
    what = f"{len(wires):,} clients to be served"
    quiet = 5 * bench.patience
    with select.epoll() as epoll:
        for fd in sockets:
            epoll.register(fd, select.EPOLLOUT)
        unserved = set(sockets)
        while unserved:
            events = epoll.poll(quiet)
            if not events:
                all_came = not held and all(received[fd] == answer[fd] for fd in unserved)
                look = bench.look()
                likely = diagnosis.of_no_end(look) if all_came else ""
                likely = likely or diagnosis.of_crowd(look, held=held)
                actual = f"{len(unserved)} were not, and nothing happened for {quiet:.0f} s"
                raise Failed(what, actual, likely=likely)
            for fd, event in events:
                try:
                    if event & select.EPOLLOUT:
                        sockets[fd].send(hellos[fd].said)
                        if not held:
                            sockets[fd].shutdown(socket.SHUT_WR)
                        epoll.modify(fd, select.EPOLLIN)
                        continue
                    data = sockets[fd].recv(KIB)
                except OSError as error:
                    if of_this_machine(error):
                        raise
                    if bench.wait_until(bench.ending) and (ending := bench.ending()):
                        raise Failed(what, f"it has ended: {ending}") from None
                    at_end = not held and received[fd] == answer[fd]
                    likely = (
                        symptoms.RESET if at_end else diagnosis.of_crowd(bench.look(), held=held)
                    )
                    raise Failed(what, f"one was not: {error.strerror}", likely=likely) from None
                received[fd] += data
                if received[fd] == answer[fd] and (held or not data):
                    epoll.unregister(fd)
                    unserved.remove(fd)
                elif not data or not answer[fd].startswith(received[fd]):
                    own = f"each of {len(wires):,} clients its own message"
                    try:
                        must_be_its_own(received[fd], answer[fd], list(answer.values()), own)
                    except Failed as failure:
                        likely = failure.likely or diagnosis.of_crowd(bench.look(), held=held)
                        failure.likely = likely
                        raise


@check(
    "tcp/12",
    "tcp-echo",
    "frames",
    what="A thousand clients connect at once, send a message, and close; all must be served.",
    why="After a restart all of your clients come back in the same second.",
    mistake="A short backlog: listen(5) drops who comes meanwhile, and they try again a second "
    "later. listen(4096), and accept in a loop. Threads: start them faster than they come. A "
    "number of clients above which they are closed.",
    calls="listen(2): the kernel cuts it to net.core.somaxconn; accept(2).",
    needs="tcp/4",
)
def a_crowd(bench: Bench) -> None:
    _crowd(bench, held=False)


@check(
    "tcp/12-held",
    *STREAMS,
    what="1,024 clients connect at once and stay; all must be served before anybody leaves.",
    why="Most connections of a real server are open and idle.",
    mistake="A fixed number of threads or slots that the idle ones occupy; or select(), whose sets "
    "hold the descriptors below FD_SETSIZE, 1,024: FD_SET() beyond writes where something else "
    "is, and other languages raise. Use poll() or epoll.",
    calls="epoll_wait(2); select(2): FD_SETSIZE.",
    together=True,
    needs="tcp/5",
)
def a_crowd_that_stays(bench: Bench) -> None:
    _crowd(bench, held=True)


@check(
    "tcp/25-held",
    *STREAMS,
    what="Looks at the server's CPU time beside 1,024 clients that have been served and say "
    "nothing.",
    why="What a silent client costs is what most clients cost.",
    mistake="A look at each, again and again, in place of waiting for all of them: a short timeout "
    "of recv() in each thread or process is one, too.",
    calls="epoll_wait(2), poll(2); recv(2) with SO_RCVTIMEO.",
    together=True,
    inside=True,
    needs="tcp/12-held tcp/25",
)
def a_silent_crowd(bench: Bench) -> None:
    _crowd(bench, held=True)
    must_rest(bench, f"beside {HELD:,} clients that say nothing")


@check(
    "tcp/26",
    *STREAMS,
    what="300 clients connect while the server stands still (SIGSTOP); the kernel must connect all "
    "of them, for the server to accept when it goes on.",
    why="Whoever accepts has other work for a moment; who comes meanwhile must wait, not be lost.",
    mistake="listen(5), or a default of 50 to 128: the kernel keeps one more than that, and drops "
    "who comes then, to try again after 1 s, 3 s and 7 s. listen(4096).",
    calls="listen(2): the kernel cuts it to net.core.somaxconn; ss -lt shows queue and backlog.",
    inside=True,
)
def queued(bench: Bench) -> None:
    bench.must_have_room_for(QUEUED)
    if (most := int(SOMAXCONN.read_text())) < QUEUED:
        raise Skipped(
            f"this machine's queues hold {most}: sysctl -w net.core.somaxconn=4096 (as root)"
        )
    bench.must_serve("to be served before that")
    with bench.stopped():
        wires = [bench.connect(at_once=True) for _ in range(QUEUED)]
        connected = 0

        def are_connected() -> bool:
            nonlocal connected
            connected = sum(map(_is_established, wires))
            return connected == QUEUED

        if not bench.wait_until(are_connected):
            raise Failed(
                f"{QUEUED} clients to be connected while nobody accepts",
                f"{_queue(bench.place.port)}{connected} of {QUEUED} are connected",
            )
    for wire in wires:
        wire.close()
    bench.must_serve(f"the server to go on after {QUEUED} who have come and left")


def _is_established(wire: Wire) -> bool:
    return sock_diag.state_of(wire.sock) == "ESTABLISHED"


def _queue(port: int) -> str:
    """As ss(8) has it: how many wait, and the backlog."""
    try:
        there = sock_diag.listeners(port)
    except OSError:
        return ""
    waiting = sum(each.receive_queue for each in there)
    backlog = sum(each.send_queue for each in there)
    return f"LISTEN {waiting}/{backlog}: "


@check(
    "tcp/24",
    "tcp-echo",
    what="Five clients, two of them of the same port at two addresses where there are two, send at "
    "the same time, in pieces, and read slowly, and one who came before them leaves with its own "
    "unread; each must get back what it sent, and nothing of the others.",
    why="Who gets another client's data has seen what was none of its business.",
    mistake=symptoms.OTHERS,
    calls="recv(2) into a buffer; send(2), which may take only some of it.",
    together=True,
    needs="tcp/1 tcp/5",
)
def to_each_its_own(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    streams = [(block := chance.randbytes(BLOCK)) + block[:MOST] for _ in range(CLIENTS)]
    early = bench.connect(receive_buffer=4 * KIB)
    one = bench.connect(receive_buffer=4 * KIB)
    namesake = bench.connect(receive_buffer=4 * KIB, source=bench.namesake_of(one.sock))
    wires = [one, namesake, *(bench.connect(receive_buffer=4 * KIB) for _ in range(CLIENTS - 2))]
    early.send_until_stuck(streams[0], SOON_S, times=EACH // BLOCK)
    sent, received = [0] * CLIENTS, [0] * CLIENTS

    def send(number: int, most: int) -> None:
        at, size = sent[number] % BLOCK, min(most, EACH - sent[number])
        sent[number] += wires[number].send_some(streams[number][at : at + size])

    what = f"each of {CLIENTS} clients its own {EACH // MIB} MiB back"
    whose = {wire.sock.fileno(): number for number, wire in enumerate(wires)}
    poll = select.poll()
    for wire in wires:
        poll.register(wire.sock, select.POLLOUT)
    while events := poll.poll(FULL_MS):  # until nothing more is taken, so that some has to wait
        chance.shuffle(events)
        for fd, _ in events:
            number = whose[fd]
            send(number, chance.randint(1, 32 * KIB))
            if sent[number] == EACH:
                poll.unregister(fd)
    early.reset()
    for number, wire in enumerate(wires):
        poll.register(wire.sock, select.POLLIN | (select.POLLOUT if sent[number] < EACH else 0))
    while whose:
        events = poll.poll(bench.patience * 1000)
        if not events:
            came, number = min((received[number], number) for number in whose.values())
            bench.timeline.stuck = wires[number].name
            likely = _of_missing(bench, wires[number].name) if came else symptoms.WAITS
            raise Failed(what, f"{came:,} bytes came back to one, then nothing", likely=likely)
        chance.shuffle(events)
        for fd, event in events:
            number = whose[fd]
            wire, at = wires[number], received[number]
            if event & ~select.POLLOUT:
                piece = wire.receive_some(chance.randint(1, MOST))
                first, size = at % BLOCK, min(len(piece), EACH - at)
                own = streams[number][first : first + size]
                must_be_its_own(piece, own, streams, what, origin=at)
                if not piece:
                    raise Failed(what, f"{at:,} bytes came back to one, then the end", at)
                received[number] += len(piece)
            elif sent[number] < EACH:
                send(number, 32 * KIB)
                if sent[number] == EACH:
                    poll.modify(fd, select.POLLIN)
            if received[number] == EACH:
                poll.unregister(fd)
                del whose[fd]


def _of_missing(bench: Bench, name: str) -> str:
    """Why not all came of what one has sent, of which some has come."""
    conn = bench.look().of(name)
    if conn is None or not conn.held or conn.unread or conn.unsent or "ET" in (conn.watched or ""):
        return symptoms.CHANGED
    return symptoms.LET_DROP


def must_be_its_own(
    received: bytes, sent: bytes, by_all: list[bytes], what: str, *, origin: int = 0
) -> None:
    """Raise Differs that says whether it is what another client sent."""
    try:
        must_equal(received, sent, what, origin=origin)
    except Differs as failure:
        at = failure.at_byte or 0
        strange = received[at - origin :][:RECOGNISED]
        if len(strange) > FEW and any(strange in data for data in by_all if sent not in data):
            actual = f"at byte {at:,} came what another client had sent: {strange!r}"
            raise Differs(what, actual, at, likely=symptoms.OTHERS) from None
        if received:
            failure.likely = failure.likely or symptoms.CHANGED
        raise
