"""From sampled stacks to where CPU time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from compare.host.stacks import Function, Stack
from compare.results.profile import Frame, Frames

LEAST = 0.001  # of CPU time, below which a function is left out
FEWEST = 20  # samples
# Functions of C in which a thread sleeps, or may: on a socket that blocks.
SLEEPS = {
    *("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect"),
    *("nanosleep", "clock_nanosleep", "pthread_cond_wait", "pthread_cond_timedwait", "take_gil"),
    *(
        "pthread_mutex_lock",
        "sem_wait",
        "sem_timedwait",
        "sem_clockwait",
        "PyThread_acquire_lock_timed",
        "waitpid",
    ),
}
MAY_SLEEP = {"recv", "recvfrom", "recvmsg", "read", "readv", "accept", "accept4", "syscall"}


class Spent(NamedTuple):
    """The CPU time of a function of Python, wherever it was called, and of the C called by it.

    share: of all, from 0 to 1. on: in which functions of C so much of it was spent.
    """

    name: str
    file: str
    share: float
    on: dict[str, float]


def functions_of(frames: Sequence[Frame]) -> list[Spent]:
    """The functions that have CPU time of their own, who has most first."""
    whose: list[Frame] = []
    found: dict[tuple[str, str], Spent] = {}
    for each in frames:
        mine = each if each.is_python or each.caller is None else whose[each.caller]
        whose.append(mine)
        spent = found.get((mine.name, mine.file), Spent(mine.name, mine.file, 0.0, {}))
        if each is not mine:
            spent.on[each.name] = spent.on.get(each.name, 0.0) + each.own
        found[mine.name, mine.file] = spent._replace(share=spent.share + each.own)
    return sorted(found.values(), key=lambda each: -each.share)


def frames_of(
    stacks: Sequence[Stack], cpu_s: float, window_s: float, *, waited_s: float = 0.0
) -> Frames:
    """Of the samples of a window in which the threads took so much CPU time together.

    waited_s: for how long they could have run, and something else had their core.

    Samples are of time, and a thread may sleep. One that does is in a call that sleeps; where it is
    in another, it runs, or could. So all others count in full, and those in calls that may sleep as
    much as is left of the time in which they ran or could, and those that mostly do what is left
    then: a call that sleeps costs CPU, too.
    """
    weights = _weights(stacks, (cpu_s + waited_s) / window_s * _looks(stacks))
    total = sum(weights)
    if (samples := round(total)) < FEWEST:
        return Frames(why_not=f"{samples} samples of who has the CPU are too few to tell")
    return Frames(
        samples=samples,
        had_cpu=round(cpu_s / (cpu_s + waited_s), 3) if waited_s else 1.0,
        frames=_tree(stacks, [each / total for each in weights]),
    )


def _looks(stacks: Iterable[Stack]) -> int:
    """How often somebody looked: each thread was seen each time, but for those that came late."""
    by_thread: dict[str, int] = {}
    for each in stacks:
        by_thread[each.thread] = by_thread.get(each.thread, 0) + each.samples
    return max(by_thread.values(), default=0)


def _weights(stacks: Sequence[Stack], left: float) -> list[float]:
    """Of each stack: its samples, as far as they did not sleep, which so many did not."""
    kinds = [_kind(each) for each in stacks]
    share = {}
    for kind in range(3):
        taken = sum(each.samples for each, its in zip(stacks, kinds, strict=True) if its == kind)
        share[kind] = min(1.0, max(0.0, left) / taken) if kind and taken else 1.0
        left -= taken
    return [each.samples * share[kind] for each, kind in zip(stacks, kinds, strict=True)]


def _kind(stack: Stack) -> int:
    """0: it runs. 1: it may sleep. 2: it mostly does."""
    called = []
    for each in reversed(stack.functions):
        if each.is_python:
            break
        called.append(each.name.lstrip("_"))
    return 2 if SLEEPS & {*called} else 1 if MAY_SLEEP & {*called} else 0


def _tree(stacks: Iterable[Stack], shares: Iterable[float]) -> list[Frame]:
    places: dict[tuple[int | None, Function], int] = {}
    whole: list[float] = []
    own: list[float] = []
    for stack, share in zip(stacks, shares, strict=True):
        caller = None
        for function in stack.functions:
            place = places.setdefault((caller, function), len(whole))
            if place == len(whole):
                whole.append(0.0)
                own.append(0.0)
            whole[place] += share
            caller = place
        if caller is not None:
            own[caller] += share
    kept: dict[int | None, int | None] = {None: None}
    found: list[Frame] = []
    for (caller, function), place in places.items():
        if whole[place] >= LEAST and caller in kept:
            kept[place] = len(found)
            name, file = function
            share, mine = round(whole[place], 5), round(own[place], 5)
            found.append(Frame(name=name, file=file, caller=kept[caller], share=share, own=mine))
    return found
