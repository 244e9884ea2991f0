"""TCP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import time

from compare.check import symptoms
from compare.check.bench import Bench, Skipped
from compare.check.catalogue import CHECKS, check
from compare.check.failure import Differs, Failed, must_equal
from compare.check.growth import must_give_back
from compare.check.hello import STREAMS, begun, hello
from compare.check.wire import Wire, wait_until

KIB, MIB = 1024, 1024 * 1024
GROWTH_KB = 8 * KIB  # of the server, for one peer that does not read
TRACE = re.compile(  # of Python, Java and JavaScript, Rust, Go
    r"^Traceback \(most recent|^\s+at \S.*:\d+|^thread '.*panicked at|^goroutine \d+ \[",
    re.MULTILINE,
)
SOME_KB = KIB  # more than a buffer or two
KEPT_S = 0.1
SLOW_S = 0.0005  # from one piece to the next
STUCK_S = 0.5  # a peer that takes nothing for so long has stopped reading


def _random(bench: Bench, size: int = MIB) -> bytes:
    return random.Random(bench.seed).randbytes(size)


@check(
    "tcp/1",
    "tcp-echo",
    what="Sends 1 MiB of random bytes, all 256 values; the same bytes must come back.",
    why="Bytes are not text: images, keys and compressed data hold every value.",
    mistake="Decoding to text and back, or stopping at a NUL or a newline. Pass bytes on as they "
    "are, and send all of them: send() may take only some, so send the rest, too.",
    calls="recv(2), send(2): both return how many bytes, which may be fewer than asked for.",
    content=True,
    needs="tcp/2",
)
def every_byte_value(bench: Bench) -> None:
    bench.connect().exchange(_random(bench), "1 MiB of random bytes back unchanged")


@check(
    "tcp/2",
    "tcp-echo",
    what="Sends 1,000 bytes, each in a segment of its own; they must come back in order, and so "
    "must another one that is sent then.",
    why="TCP is a stream: where one write ends and the next begins is not kept.",
    mistake="Taking each recv() for a whole message, or answering only the first.",
    calls="recv(2): returns what has arrived so far.",
)
def one_byte_per_segment(bench: Bench) -> None:
    wire, data = bench.connect(), _random(bench, 1000)
    for number, byte in enumerate(data):
        try:
            wire.send(bytes([byte]))
        except Failed as failure:
            actual = f"after {number:,} bytes {failure.actual}"
            found = Failed(failure.expected, actual, number, likely=failure.likely)
            found.sure = _answers_twice(bench)  # so it has not closed after the first answer
            raise found from None
    wire.must_receive(data, "1,000 bytes back in order")
    # All of them may have been one recv() of a server that was busy.
    wire.exchange(_random(bench, 1), "another byte back, when 1,000 have come back")


def _answers_twice(bench: Bench) -> bool:
    with contextlib.suppress(Failed):
        wire = bench.connect()
        for word in (b"hello", b"again"):
            wire.exchange(word)
        return True
    return False


@check(
    "tcp/3",
    "tcp-echo",
    what="Sends 8 MiB, half-closes while much of it is pending, and reads slowly; every byte must "
    "come, and then the end.",
    why="`nc` and many clients say that they are done by closing their side, and still listen.",
    mistake="Taking the end of input for the end of the connection: closing when recv() has "
    "returned 0 with unsent bytes in hand. Send what is pending first, then close.",
    calls="recv(2) returning 0 is half of the end; shutdown(2), close(2).",
    needs="tcp/1 tcp/4",
)
def half_close(bench: Bench) -> None:
    sent = _random(bench) * 8
    kept = _Kept(bench)
    wire, unsent, received = bench.connect(receive_buffer=64 * KIB), memoryview(sent), bytearray()
    while unsent:  # read only what one must to get rid of the rest
        if wire.poll(0.02, read=False)[1]:
            unsent = unsent[wire.send_some(unsent) :]
        elif piece := wire.receive_some(64 * KIB):
            received += piece
            if len(received) > len(sent):  # who talks on may do so for ever
                break
        else:
            raise Failed("8 MiB to be taken", f"the end came after {len(received):,} bytes")
    what = "8 MiB back after a half-close, then the end"
    must_equal(received, sent, what, so_far=True)
    keeps = kept.more_than(SOME_KB)
    wire.half_close()
    try:
        wire.must_receive_rest(sent[len(received) :], what, slowly=SLOW_S, origin=len(received))
    except Differs as failure:
        missing = len(sent) - (failure.at_byte or 0)
        if failure.likely == symptoms.CUT_SHORT and not keeps and missing > MIB:
            failure.likely = symptoms.LET_DROP
        raise


class _Kept:
    """Whether the server keeps what it has taken; as if it did, where nobody can look inside."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._before = bench, 0
        self._shows = False
        with contextlib.suppress(Skipped):
            if bench.inside:
                self._before, self._shows = bench.memory_kb(), True

    def more_than(self, kb: int) -> bool:
        def has_grown() -> bool:
            return self._bench.memory_kb() - self._before > kb

        return not self._shows or wait_until(has_grown, KEPT_S)


@check(
    "tcp/4",
    *STREAMS,
    what="Connects, and closes its side at once; the end must come within a second.",
    why="Port scanners and health checks do nothing else, every few seconds for years.",
    mistake="Not noticing that recv() returned 0 when nothing came before it, or "
    "answering nothing to it.",
    calls="recv(2) returning 0, close(2).",
)
def at_once_the_end(bench: Bench) -> None:
    wire = bench.connect()
    wire.half_close()
    wire.must_receive_rest(b"", "the end, and nothing before it", max(1.0, bench.patience))


@check(
    "tcp/5",
    *STREAMS,
    what="Five clients connect and say nothing; another one must be served.",
    why="A connection costs a client nothing. If a silent one blocks the server, anybody can.",
    mistake="Reading from one connection until its end before the next is accepted. Give each its "
    "own thread, or wait for all of them at once by epoll.",
    calls="accept(2), recv(2) that blocks; epoll_wait(2).",
    together=True,
    needs="tcp/4",
)
def silent_clients(bench: Bench) -> None:
    bench.must_serve("to be served before anybody is silent")
    for _ in range(5):
        bench.connect()
    bench.must_serve("others to be served while five clients are silent")


@check(
    "tcp/6",
    *STREAMS,
    what="Fifty clients reset their connection in mid-stream; the server must go on, and hold "
    "nothing of them.",
    why="Clients crash, networks change, browsers cancel: a reset is an ordinary end.",
    mistake="An error of recv() or send() that nobody handles ends the whole server, or the "
    "connection's descriptor is never closed. Handle it at both, and close.",
    calls="recv(2): ECONNRESET; send(2): EPIPE, ECONNRESET; close(2).",
    needs="tcp/4",
)
def resets(bench: Bench) -> None:
    half = begun(bench.subject.profile, _random(bench, 64 * KIB), bench.subject.variant)

    def reset_fifty() -> None:
        for attempt in range(50):
            wire = bench.connect()
            if attempt % 2:
                bench.greet(wire)
            # Else whether the reset comes before its answer is sent is chance.
            before_it_looks = bench.inside and attempt % 5 == 0
            with bench.stopped() if before_it_looks else contextlib.nullcontext():
                with contextlib.suppress(Failed):
                    wire.send_until_stuck(half, 0)
                wire.reset()
        bench.must_serve("the server to go on after fifty resets")

    bench.must_serve("to be served before anybody resets")
    must_give_back(bench, 50, reset_fifty)


@check(
    "tcp/7",
    *STREAMS,
    what="Fifty clients reset while they wait to be accepted; the server must go on.",
    why="Under load the queue is long, and impatient clients leave it.",
    mistake="accept() or the first call on what it gave fails, and that ends the accept loop.",
    calls="accept(2): ECONNABORTED; getpeername(2): ENOTCONN; recv(2): ECONNRESET.",
    inside=True,
    needs="tcp/4",
)
def resets_in_the_queue(bench: Bench) -> None:
    half = begun(bench.subject.profile, b"hello...", bench.subject.variant)

    def reset_fifty() -> None:
        with bench.stopped():
            for attempt in range(50):
                wire = bench.connect(at_once=True)  # a short backlog takes only some of them
                wire.poll(0.2, read=False)
                if attempt % 2:
                    with contextlib.suppress(Failed):
                        wire.send_some(half)
                wire.reset()
        bench.must_serve("the server to go on after resets in its accept queue")

    bench.must_serve("to be served before anybody resets")
    must_give_back(bench, 50, reset_fifty)


@check(
    "tcp/8",
    "tcp-echo",
    what="Sends 48 MiB without reading; the server must stop taking it, keep less than 8 MiB, and "
    "still give back all that it took.",
    why="A client that does not read would else fill the server's memory at line speed.",
    mistake="Keeping what cannot be sent in a buffer without bound, and reading on. Stop reading "
    "from a peer while there is much that it has not read.",
    calls="send(2): EAGAIN, or blocks; recv(2), which one must not call meanwhile.",
    needs="tcp/1 tcp/4",
)
def no_reader(bench: Bench) -> None:
    data, times = _random(bench), 48
    first = bench.connect()
    first.exchange(data)
    first.close()
    before = bench.memory_kb() if bench.inside else 0
    kept, wire = _Kept(bench), bench.connect()
    sent = wire.send_until_stuck(data, max(STUCK_S, bench.patience / 4), times)
    if sent == len(data) * times:
        drops = not kept.more_than(GROWTH_KB)  # of which no buffer of a kernel's is a part
        more = ", and keeps next to none of it" if drops else ""
        likely = symptoms.LET_DROP if drops else ""
        actual = f"it took 48 MiB that nobody reads{more}"
        raise Failed("the server to stop reading", actual, likely=likely)
    if bench.inside and (grown := bench.memory_kb() - before) > GROWTH_KB:
        raise Failed("the server to grow by less than 8 MiB", f"it grew by {grown / KIB:.1f} MiB")
    wire.half_close()
    taken = data * (sent // MIB) + data[: sent % MIB]
    wire.must_receive_rest(taken, f"the {sent:,} bytes back that it took")


@check(
    "tcp/9",
    "tcp-echo",
    what="A client sends and reads nothing, while another one works: 99 % of whose messages must "
    "come back within 50 ms.",
    why="One slow client must not be everybody's problem.",
    mistake="A send() that blocks in the one thread that serves all. Make sockets non-blocking and "
    "wait for EPOLLOUT, or give each connection a thread.",
    calls="send(2) with a full buffer; fcntl(2) O_NONBLOCK; epoll_ctl(2) EPOLLOUT.",
    together=True,
    needs="tcp/2 tcp/5",
)
def no_reader_beside(bench: Bench) -> None:
    stalled, worker = bench.connect(), bench.connect()
    stalled.exchange(b"hello")
    data, sent = memoryview(_random(bench)), 0
    alone = _p99_s([_ping_s(worker) for _ in range(200)])
    samples = []
    while sent < 48 * MIB and stalled.poll(max(STUCK_S, bench.patience / 4), read=False)[1]:
        sent += stalled.send_some(data[sent % MIB :])
        samples.append(_ping_s(worker))
    samples += [_ping_s(worker) for _ in range(200)]
    limit = max(0.05 * bench.patience / 3, 3 * alone)
    if (p99 := _p99_s(samples)) > limit:
        raise Failed(
            f"99 % of another client's messages within {limit * 1000:.0f} ms",
            f"it was {p99 * 1000:.0f} ms beside a client that does not read",
        )


def _ping_s(wire: Wire) -> float:
    began = time.perf_counter()
    wire.exchange(b"ping", "the echo of another client")
    return time.perf_counter() - began


def _p99_s(samples: list[float]) -> float:
    return sorted(samples)[len(samples) * 99 // 100]


@check(
    "tcp/17",
    "tcp-echo",
    what="Twenty clients close while the server writes to them; it must go on, and hold nothing "
    "of them.",
    why="Who closes a tab does not wait for the rest of the page.",
    mistake="An error of send() that nobody expects: an exception that is not caught, or whose "
    "trace is printed; in C SIGPIPE, which ends a program unless it is ignored or MSG_NOSIGNAL is "
    "passed.",
    calls="send(2): EPIPE, ECONNRESET; signal(7): SIGPIPE.",
    needs="tcp/4",
)
def closes_while_written_to(bench: Bench) -> None:
    data = _random(bench)

    def leave_twenty() -> None:
        for _ in range(20):
            wire = bench.connect(receive_buffer=4 * KIB)
            wire.send_until_stuck(data, 0, times=8)
            wire.poll(bench.patience, write=False)  # closing with unread input resets
            wire.close()
        bench.must_serve("the server to go on after clients left in mid-reply")
        if TRACE.search(said := bench.stderr()):
            raise Failed("no word of what is an ordinary end", f"stderr: {said.splitlines()[-1]}")

    bench.must_serve("to be served before anybody leaves")
    must_give_back(bench, 20, leave_twenty)


@check(
    "tcp/18",
    *STREAMS,
    what="Sends an urgent byte between others; the server must survive it, and answer the others.",
    why="Anybody may set that flag, and it is in no program's mind.",
    mistake="EPOLLPRI or an exception set taken for an error; or SO_OOBINLINE; or splice(2), as in "
    "Go's io.Copy, which says EAGAIN at the urgent byte and never gets past it: read(2) does.",
    calls="send(2) MSG_OOB, tcp(7), poll(2) POLLPRI, splice(2).",
    needs="tcp/2 tcp/4",
)
def urgent_byte(bench: Bench) -> None:
    wire = bench.connect()
    bench.greet(wire)
    wire.note("send(1, MSG_OOB)")
    wire.sock.send(b"!", socket.MSG_OOB)
    said, heard = hello(bench.subject.profile, 1, bench.subject.variant)
    wire.send(said)
    try:
        wire.must_receive(heard, "the answer to what was sent after the urgent byte")
    except Differs as failure:
        failure.likely = CHECKS["tcp/18"].mistake
        raise
    wire.half_close()
    wire.must_receive_rest(b"", "the end")
    bench.must_serve()
