"""A server that answers later: each line says after how many milliseconds.

docs/protocols.md has the protocol. Times are as long as the machine is slow; what is due within
the same few milliseconds may come in any order.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from compare.check.bench import Bench, Skipped
from compare.check.catalogue import check
from compare.check.failure import Failed, shown
from compare.check.leaks import must_stay_level
from compare.check.tcp import TRACE
from compare.check.wire import Wire
from compare.host import process

GAP_MS = 100  # between two that must not come in another order
TURNS = 6
LONG_MS = 60_000  # the longest: due when everybody has left
TIMERS = 1000
SETTLED_S = 0.25  # in which CPU time is looked at
BUSY = 0.05  # of a core
LEAVING = 20  # clients with something due
LEFT_MS = 100
LOT = 100  # clients
KEPT = 40  # lines of each that are not due when it leaves
LONG = "x" * 900
EARLY_S = 0.002  # by which a clock of whole milliseconds may be wrong
LATE_S = 0.02
TIMES_MS = (1, 20, 50, 100)
EVERY_MS, ROW = 25, 40  # so many in a row, each so much after the one before
TRIES = 5
OTHER_FORMS = (
    *(b"", b" ", b"tea", b"0", b"0\ttea", b" 0 tea", b"+0 tea", b"-1 tea", b"0x0 tea"),
    *(b"60001 tea", b"100000 tea", b"0 " + b"x" * 1001),
)


Asking = Callable[[Wire, Sequence[tuple[int, str]]], None]


def _slower(bench: Bench) -> float:
    return max(1.0, bench.patience / 3)


def _ask(wire: Wire, asked: Sequence[tuple[int, str]]) -> None:
    wire.send("".join(f"{ms} {text}\n" for ms, text in asked).encode())


def _hear(wire: Wire, what: str, began: float, ms: float = 0.0) -> str:
    """The next line, which is due `ms` after the moment of time.monotonic() when it was asked."""
    left = began + ms / 1000 + wire.patience - time.monotonic()
    if left <= 0 and not wire.poll(0, write=False)[0]:
        raise Failed(what, f"it had not come {time.monotonic() - began:.1f} s after it was asked")
    line = wire.line(what, within=max(0.0, left))
    if line is None:
        raise Failed(what, "the end came")
    return line


def met(bench: Bench) -> Wire:
    """A client whose first line, due at once, was answered."""
    wire = bench.connect()
    bench.greet(wire)
    return wire


@check(
    "later/1",
    "later",
    what="Asks for lines in another order than they are due, in one segment and in lines that are "
    "cut in two; each must come once, in the order of due time.",
    why="Time-outs, retries and reminders are due in their own order, not in that of asking.",
    mistake="A sleep for each line, one after the other; a wait without a timeout, which nothing "
    "wakes when a line is due; a queue where a heap belongs, so that the first one holds up all "
    "others; taking each recv() for a line.",
    calls="epoll_wait(2): the timeout is what is left until the first of all is due; "
    "timerfd_create(2).",
    content=True,
)
def due_order(bench: Bench) -> None:
    wire, chance = met(bench), random.Random(f"{bench.seed} later/1")
    gap = round(GAP_MS * _slower(bench))
    for ask in (_ask, _ask_in_halves):
        asked = [(gap * (turn + 3), f"due {turn} {chance.random()}") for turn in range(TURNS)]
        chance.shuffle(asked)
        if asked == sorted(asked):
            asked.reverse()
        for (ms, text), heard in zip(sorted(asked), _heard(wire, ask, asked, gap), strict=True):
            if heard != text:
                what = f"{text!r}, which is due after {ms} ms"
                raise Failed(what, f"{heard!r} came; {_order(asked)} were asked for in this order")


def _heard(wire: Wire, ask: Asking, asked: Sequence[tuple[int, str]], gap: int) -> list[str]:
    """The lines as they come. Raises Skipped where asking takes so long that it changes the order.

    Nothing is due before all is asked, but where it takes that long.
    """
    for _ in range(TRIES):
        began = time.monotonic()
        ask(wire, asked)
        took_ms = (time.monotonic() - began) * 1000
        last = max(ms for ms, _ in asked)
        heard = [_hear(wire, "a line of those that are due by and by", began, last) for _ in asked]
        if took_ms < gap / 2:
            return heard
    raise Skipped(f"this machine is so busy that it takes {took_ms:.0f} ms to ask for a few lines")


def _ask_in_halves(wire: Wire, asked: Sequence[tuple[int, str]]) -> None:
    """Each second half is sent when the first one has been read: the line before it tells that."""
    what = "a line at once, with half of the next one behind it"
    for ms, text in asked:
        line, began = f"{ms} {text}\n".encode(), time.monotonic()
        wire.send(b"0 read\n" + line[: len(line) // 2])
        if (heard := _hear(wire, what, began)) != "read":
            raise Failed(what, f"{heard!r} came")
        wire.send(line[len(line) // 2 :])


def _order(asked: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{ms} ms" for ms, _ in asked)


@check(
    "later/2",
    "later",
    what="One client has a line due in a while; meanwhile others, old and new, ask for lines that "
    "are due at once, and must have them as soon as ever.",
    why="While one waits for a database, all others want their page.",
    mistake="time.sleep() in the one loop of all; or waiting until the first timer is due, and "
    "not also for what comes. Wait for both: the timeout of epoll_wait() is the time until then.",
    calls="epoll_wait(2) with a timeout; nanosleep(2) stops the thread for all.",
    together=True,
    content=True,
)
def nobody_waits(bench: Bench) -> None:
    first, other = met(bench), met(bench)
    far_s = 1.5 * _slower(bench)
    what = "a line at once beside a client whose line is due later"
    began = time.monotonic()
    _ask(first, [(round(far_s * 1000), "later")])
    first.wait_until_delivered()
    for number in range(TURNS):
        for wire in (other, bench.connect()):
            asked = time.monotonic()
            _ask(wire, [(0, f"now {number}")])
            if (line := _hear(wire, what, asked)) != f"now {number}":
                raise Failed(what, f"{line!r} came")
    took = time.monotonic() - began
    if took > 0.7 * far_s:
        raise Failed(
            f"{2 * TURNS} answers that are due at once within {0.7 * far_s:.1f} s",
            f"they took {took:.1f} s, beside one that was due in {far_s:.1f} s",
        )
    if (line := _hear(first, "the line that was due later", began, far_s * 1000)) != "later":
        raise Failed("the line that was due later", f"{line!r} came")


@check(
    "later/3",
    "later",
    what="Has 1,000 lines due in a while, of ten clients; until then the server must use next to "
    "no CPU time, and then each must come once.",
    why="A server with ten thousand idle connections has a time-out for each of them.",
    mistake="A look at all timers every few milliseconds; a timeout of 0, or one that is rounded "
    "down to 0 while the rest of a millisecond is left; threads that poll.",
    calls="epoll_wait(2): wait until the first is due, not a fixed time; heapq, timerfd_create(2).",
    together=True,
    inside=True,
    content=True,
)
def many_timers(bench: Bench) -> None:
    wires = [met(bench) for _ in range(10)]
    each = TIMERS // len(wires)
    far_ms = round(2000 * _slower(bench))
    began = time.monotonic()
    asked = {wire: [(far_ms + n, f"{wire.name}, line {n}") for n in range(each)] for wire in wires}
    for wire, lines in asked.items():
        _ask(wire, lines)
    least = 1.0
    while time.monotonic() - began < far_ms / 1000 - 2 * SETTLED_S and least > BUSY:
        least = min(least, _cpu_share(bench))
    if least > BUSY:
        raise Failed(
            f"next to no CPU time while {TIMERS:,} lines are not due yet",
            f"it used {least:.0%} of a core and more, all the time",
        )
    for wire, lines in asked.items():
        what = f"each of {TIMERS:,} lines once, when all are due at about the same time"
        heard = [_hear(wire, what, began, far_ms + each) for _ in lines]
        if sorted(heard) != sorted(text for _, text in lines):
            wanted = {text for _, text in lines}
            strange = next(line for line in heard if line not in wanted or heard.count(line) > 1)
            raise Failed(what, f"{strange!r} came, more than once or unasked")


def _cpu_share(bench: Bench) -> float:
    before, began = process.usage(bench.server.pid).cpu_ns, time.monotonic_ns()
    time.sleep(SETTLED_S)
    return (process.usage(bench.server.pid).cpu_ns - before) / (time.monotonic_ns() - began)


@check(
    "later/4",
    "later",
    what="Clients leave by close() and by a reset with lines not due yet; the server must go on "
    "when they are due, and descriptors, threads, processes and memory must come to grow no more.",
    why="Who leaves does not wait, and a minute of leavers is more than the memory has.",
    mistake="A timer that is not taken out when its client has left; a write to a connection that "
    "is closed, the exception of which nobody catches; a socket that the timer holds open.",
    calls="send(2): EPIPE, ECONNRESET; close(2): the number is soon another client's.",
    content=True,
)
def forgotten(bench: Bench) -> None:
    what = "the server to go on when something was due for clients who had left"
    for number in range(LEAVING):
        wire = met(bench)
        _ask(wire, [(ms, "nobody hears this") for ms in range(0, LEFT_MS, 25)])
        (wire.reset if number % 2 else wire.close)()
    wire = met(bench)
    began = time.monotonic()
    _ask(wire, [(2 * LEFT_MS, "all was due")])
    if (line := _hear(wire, what, began, 2 * LEFT_MS)) != "all was due":
        raise Failed(what, f"{shown(line.encode())} came, which another client had asked for")
    wire.close()
    bench.must_serve(what)
    if TRACE.search(said := bench.stderr()):
        raise Failed("no word of what is an ordinary end", f"stderr: {said.splitlines()[-1]}")
    if not bench.inside:
        return

    def leave(number: int) -> None:
        wire, began = bench.connect(), time.monotonic()
        _ask(wire, [*((LONG_MS, LONG) for _ in range(KEPT)), (0, "read")])
        _hear(wire, "a line at once, beside others that are due in a minute", began)
        (wire.reset if number % 2 else wire.close)()

    must_stay_level(bench, leave, 1, LOT, "clients with something due")


@check(
    "later/6",
    "later",
    what="Says lines of other forms: empty, without a number or a blank, with a sign, with more "
    "than 60000, and with a text of 1,001 bytes; each must end its connection, and another "
    "client's line come when it is due.",
    why="What is not understood and is passed over makes two sides that count differently.",
    mistake="int(), which takes signs, blanks and underscores; a conversion that raises and ends "
    "the server; a bound for what has no LF yet, and none for a whole line.",
    calls="re.fullmatch(), strspn(3); close(2).",
    together=True,
    content=True,
)
def other_forms(bench: Bench) -> None:
    patient, began = met(bench), time.monotonic()
    far_ms = round(LEFT_MS * _slower(bench))
    _ask(patient, [(far_ms, "this is one")])
    for line in OTHER_FORMS:
        wire = met(bench)
        wire.send(line + b"\n")
        wire.must_end(wire.patience, f"the end after {shown(line)}")
    what = "another client's line when it is due"
    if (heard := _hear(patient, what, began, far_ms)) != "this is one":
        raise Failed(what, f"{heard!r} came")


@check(
    "later/5",
    "later",
    what="Asks for single lines, and for forty in a row, each 25 ms after the one before; none may "
    "come early, and none more than 20 ms late every time, the last as little as the first.",
    why="A clock that is a little slow with each tick is wrong by minutes at the end of the day.",
    mistake="Ticks that are counted: each takes its time and a little more. A due time that is "
    "reckoned from when the last one was done. Reckon it once, from a monotonic clock, and wait "
    "for what is left. A timeout that is rounded down.",
    calls="clock_gettime(2): CLOCK_MONOTONIC; clock_nanosleep(2) with TIMER_ABSTIME.",
    content=True,
)
def on_time(bench: Bench) -> None:
    wire, limit = met(bench), LATE_S * _slower(bench)
    for ms in TIMES_MS:
        late = _least(lambda ms=ms: _late_s(wire, [ms])[0], limit)  # type: ignore[misc]
        if late > limit:
            raise Failed(
                f"a line that is due after {ms} ms at most {limit * 1000:.0f} ms late",
                f"it was {late * 1000:.0f} ms late and more, each time",
            )
    row = [EVERY_MS * (number + 1) for number in range(ROW)]
    late = _least(lambda: min(_late_s(wire, row)[-ROW // 4 :]), limit)
    if late > limit:
        raise Failed(
            f"the last of {ROW} lines in a row at most {limit * 1000:.0f} ms late",
            f"they were {late * 1000:.0f} ms late and more, each time: it adds up",
        )


def _least(late_s: Callable[[], float], limit: float) -> float:
    """The least of a few tries, up to one within the limit: who is busy is not late each time."""
    least = late_s()
    for _ in range(TRIES - 1):
        if least > limit:
            least = min(least, late_s())
    return least


def _late_s(wire: Wire, times_ms: Sequence[int]) -> list[float]:
    """How late each came, of lines that are asked for at the same time."""
    began, late = time.monotonic(), list[float]()
    _ask(wire, [(ms, f"after {ms} ms") for ms in times_ms])
    for ms in times_ms:
        what = f"the line that is due after {ms} ms"
        line = _hear(wire, what, began, ms)
        late.append(time.monotonic() - began - ms / 1000)
        if line != f"after {ms} ms":
            raise Failed(what, f"{line!r} came")
        if late[-1] < -EARLY_S:
            raise Failed(f"{what} not before that", f"it came {-late[-1] * 1000:.0f} ms early")
    return late
