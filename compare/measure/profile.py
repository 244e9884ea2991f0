"""What a server's operations are made of: its system calls, and where its CPU time goes.

strace(1) slows a server down many times, and py-spy stops it again and again: each has a run of its
own, so that nothing of this is a figure of its cell.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import msgspec

from compare.contract.spec import Target
from compare.host import certificate, process, stacks
from compare.host.calls import Call, Calls
from compare.host.launch import LaunchError
from compare.host.limits import limits_here
from compare.host.stacks import Stacks
from compare.measure.block import spec_of, start_for
from compare.measure.driver_process import Driver, DriverError
from compare.measure.testbed import Block, Say
from compare.models.model import Model
from compare.results.frames import frames_of
from compare.results.naming import short
from compare.results.profile import Frames, Profile, SystemCall
from compare.results.ranking import UNRANKED
from compare.results.records import Run

# Of the two looks. Connecting and closing are in both, so that the difference has neither.
SHORT_S, LONG_S = 0.3, 1.5
SETTLE_S = 0.3  # for the server to see that its clients have left
LEAST = 30  # operations that the one has more than the other
# The driver wakes whenever the server has answered: who waits for it to be done looks at other
# moments more often.
BEHIND = 19
SAMPLED_S = 3.0  # some 600 samples: a half of the time is told to 4 %


def profiled(run: Run, models: Sequence[Model], names: Collection[str], say: Say) -> Run:
    """The same run, and of the models so called what an operation takes in each closed loop.

    A KeyboardInterrupt ends it: what was found until then is there.
    """
    cells, interrupted = list(run.cells), True
    if words := stacks.why_not():
        say(words)
    with contextlib.suppress(KeyboardInterrupt):
        for place, cell in enumerate(cells):
            if cell.model not in names or cell.loop != "closed" or cell.verdict in UNRANKED:
                continue
            whose = f"of {cell.model} under {short(cell.load)}"
            model = next(each for each in models if each.name == cell.model)
            block = Block([model], cell.load, run.settings)
            say(f"counting the system calls {whose}")
            found = profile(model, block)
            cells[place] = msgspec.structs.replace(cell, profile=found)
            if words:
                continue
            say(f"sampling the stacks {whose}")
            found = msgspec.structs.replace(found, frames=sampled(model, block))
            cells[place] = msgspec.structs.replace(cell, profile=found)
        interrupted = False
    return msgspec.structs.replace(run, cells=cells, interrupted=interrupted)


def profile(model: Model, block: Block) -> Profile:
    """The system calls of an operation under the load of `block`, of a closed loop.

    Where they cannot be told, it says why.
    """
    try:
        with _served(model, block) as (target, block):
            few, some = _count(target, block, SHORT_S)
            more, many = _count(target, block, LONG_S)
    except (LaunchError, DriverError, OSError) as error:
        return Profile(why_not=str(error))
    operations = many - some
    if operations < LEAST:
        return Profile(why_not=f"{max(0, operations)} operations are too few to tell")
    calls = [_difference(each, few.get(each.name), operations) for each in more.values()]
    made = [each for each in calls if each.per_op * operations >= 1]
    return Profile(operations=operations, calls=sorted(made, key=lambda each: -each.per_op))


def sampled(model: Model, block: Block) -> Frames:
    """Where the server's CPU time goes under the load of `block`, of a closed loop.

    Where that cannot be told, it says why.
    """
    core = block.settings.driver_core
    if core is None:
        return Frames(why_not="it takes two cores, one for the server and one to look from")
    try:
        with _served(model, block) as (target, block):
            assert target.pid is not None
            with Stacks(target.pid, (core,)) as looked:
                began, before = time.monotonic(), process.usage(target.pid)
                _drive(target, block, SAMPLED_S, behind=BEHIND)
                window_s, after = time.monotonic() - began, process.usage(target.pid)
    except (LaunchError, DriverError, OSError) as error:
        return Frames(why_not=str(error))
    found = frames_of(
        looked.found,
        (after.cpu_ns - before.cpu_ns) / 1e9,
        window_s,
        waited_s=max(0, after.wait_ns - before.wait_ns) / 1e9,
    )
    return msgspec.structs.replace(found, native=looked.native)


@contextlib.contextmanager
def _served(model: Model, block: Block) -> Iterator[tuple[Target, Block]]:
    """A fresh server, ready, and the block with its certificate, if it takes one.

    Raises LaunchError, also where it ends meanwhile.
    """
    if block.load.tls != "none":
        block = replace(block, certificate=certificate.make())
    with start_for(block, model, limits_here()) as server:
        try:
            yield Target(server.host, server.port, server.pid), block
        except (DriverError, ProcessLookupError):
            if server.died() is None:
                raise
        if ending := server.died():
            raise LaunchError(f"the server ended meanwhile: {ending}")


def _count(target: Target, block: Block, seconds: float) -> tuple[dict[str, Call], int]:
    """The calls from before the first connection to after the last, and the operations."""
    assert target.pid is not None
    with Calls(target.pid) as calls:
        operations = _drive(target, block, seconds)
        time.sleep(SETTLE_S)
    return {each.name: each for each in calls.found}, operations


def _drive(target: Target, block: Block, seconds: float, behind: int = 0) -> int:
    """Put the load on it for so long: how many operations that came to. Raises DriverError.

    behind: how far the driver stands back on its core for others, as nice(2) has it.
    """
    spec = msgspec.structs.replace(
        spec_of(block, [target]),
        warmup_s=0.0,
        slices=1,
        slice_s=seconds,
        pinned=block.settings.driver_core is not None,
    )
    with Driver(block.settings.driver_core) as driver:
        if behind:
            nice = os.getpriority(os.PRIO_PROCESS, driver.pid)
            os.setpriority(os.PRIO_PROCESS, driver.pid, nice + behind)
        (outcome,) = driver.drive(spec, lambda operations: None)
    return sum(each.turn_operations for each in outcome.slices)


def _difference(more: Call, few: Call | None, operations: int) -> SystemCall:
    less = few or Call(more.name, 0, 0, 0.0)
    return SystemCall(
        name=more.name,
        per_op=(more.made - less.made) / operations,
        errors_per_op=(more.errors - less.errors) / operations,
        us_per_op=(more.seconds - less.seconds) * 1e6 / operations,
    )
