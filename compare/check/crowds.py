"""TCP echo for several clients at the same time: all are served, and each gets its own."""

from __future__ import annotations

import contextlib
import random
import select
import socket

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.wire import Differs, Failed, must_equal

KIB = 1024
CROWD = 1000
HELD = 1024  # so that some descriptor of the server's is beyond FD_SETSIZE
CLIENTS = 5
EACH = 256 * KIB


def _crowd(bench: Bench, *, held: bool) -> None:
    """Connect so many clients at once; each stays until all are served, or leaves on its own."""
    wires = [bench.connect(at_once=True) for _ in range(HELD if held else CROWD)]
    message = {wire.sock.fileno(): b"<client %04d>" % n * 10 for n, wire in enumerate(wires)}
    received = dict.fromkeys(message, b"")
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
                raise Failed(
                    what,
                    f"{len(unserved)} were not, and nothing happened for {quiet:.0f} s",
                )
            for fd, event in events:
                try:
                    if event & select.EPOLLOUT:
                        sockets[fd].send(message[fd])
                        if not held:
                            sockets[fd].shutdown(socket.SHUT_WR)
                        epoll.modify(fd, select.EPOLLIN)
                        continue
                    data = sockets[fd].recv(KIB)
                except OSError as error:
                    raise Failed(what, f"one was not: {error.strerror}") from None
                received[fd] += data
                if received[fd] == message[fd] and (held or not data):
                    epoll.unregister(fd)
                    unserved.remove(fd)
                elif not data or not message[fd].startswith(received[fd]):
                    own = f"each of {len(wires):,} clients its own message"
                    must_be_its_own(received[fd], message[fd], list(message.values()), own)


@check(
    "tcp/12",
    "tcp-echo",
    what="A thousand clients connect at once, send a message, and close; all must be served.",
    why="After a restart all of your clients come back in the same second.",
    mistake="A short backlog: listen(5) drops who comes meanwhile, and they try again a second "
    "later. listen(4096), and accept in a loop. Threads: start them faster than they come.",
    calls="listen(2): the kernel cuts it to net.core.somaxconn; accept(2).",
)
def a_crowd(bench: Bench) -> None:
    _crowd(bench, held=False)


@check(
    "tcp/12-held",
    "tcp-echo",
    what="1,024 clients connect at once and stay; all must be served before anybody leaves.",
    why="Most connections of a real server are open and idle.",
    mistake="A fixed number of threads or slots that the idle ones occupy; or select(), which ends "
    "at 1,024 descriptors: FD_SET() beyond writes where something else is.",
    calls="epoll_wait(2); select(2): FD_SETSIZE.",
    together=True,
)
def a_crowd_that_stays(bench: Bench) -> None:
    _crowd(bench, held=True)


@check(
    "tcp/24",
    "tcp-echo",
    what="Five clients send at the same time, in pieces, and read slowly; each must get back what "
    "it sent, and nothing of the others.",
    why="Who gets another client's data has seen what was none of its business.",
    mistake=symptoms.OTHERS,
    calls="recv(2) into a buffer; send(2), which may take only some of it.",
    together=True,
)
def to_each_its_own(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    sent = [chance.randbytes(EACH) for _ in range(CLIENTS)]
    wires = [bench.connect(receive_buffer=4 * KIB) for _ in range(CLIENTS)]
    unsent = [memoryview(data) for data in sent]
    received = [bytearray() for _ in range(CLIENTS)]
    poll = select.poll()
    whose = {wire.sock.fileno(): number for number, wire in enumerate(wires)}
    for wire in wires:
        poll.register(wire.sock, select.POLLIN | select.POLLOUT)
    what = f"each of {CLIENTS} clients its own {EACH // KIB} KiB back"
    left = set(range(CLIENTS))
    while left:
        events = [(whose[fd], event) for fd, event in poll.poll(bench.patience * 1000)]
        if not events:
            came = min(len(received[number]) for number in left)
            raise Failed(what, f"{came:,} bytes came back to one, then nothing")
        chance.shuffle(events)
        for number, event in events:
            wire = wires[number]
            if event & select.POLLOUT and unsent[number]:
                size = chance.randint(1, 32 * KIB)
                unsent[number] = unsent[number][wire.send_some(unsent[number][:size]) :]
                if not unsent[number]:
                    poll.modify(wire.sock, select.POLLIN)
            if event & ~select.POLLOUT and (not unsent[number] or chance.random() < 0.25):
                piece = wire.receive_some(chance.randint(1, 8 * KIB))
                received[number] += piece
                must_be_its_own(received[number], sent[number], sent, what, so_far=bool(piece))
                if len(received[number]) == EACH:
                    poll.unregister(wire.sock)
                    left.remove(number)
    for wire in wires:
        with contextlib.suppress(Failed):
            wire.half_close()


def must_be_its_own(
    received: bytes | bytearray,
    sent: bytes,
    of_all: list[bytes],
    what: str,
    *,
    so_far: bool = False,
) -> None:
    """Raise Differs that says whether it is what another client sent."""
    try:
        must_equal(received, sent, what, so_far=so_far)
    except Differs as failure:
        at = failure.at_byte or 0
        strange = bytes(received[at : at + 16])
        if len(strange) > 3 and any(strange in other for other in of_all if other is not sent):
            actual = f"at byte {at:,} came what another client had sent: {strange!r}"
            raise Differs(what, actual, at, likely=symptoms.OTHERS) from None
        raise
