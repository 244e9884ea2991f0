"""The event loops by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aionet.app import CannotLoadError, load

LOOPS = ("asyncio", "uvloop")

Abstract = asyncio.AbstractEventLoop
Factory = Callable[[], Abstract]


class LoopError(RuntimeError):
    """There is no loop to run on: its factory failed, or made something else."""


def loop_factory(name: str) -> Factory:
    """What makes a loop called `name`, for `asyncio.Runner(loop_factory=...)`.

    name: one of LOOPS, or MODULE:FACTORY for the loop of another package, such as
    "rloop:new_event_loop": what is called without arguments and gives an asyncio.AbstractEventLoop.

    Raises ValueError for a name that means no factory, and ImportError for a module that is missing
    or cannot be imported: ModuleNotFoundError, saying what to install, where it is uvloop. What is
    returned raises LoopError where the factory fails, or gives no loop.
    """
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    if name == "uvloop":
        try:
            import uvloop
        except ModuleNotFoundError:
            raise ModuleNotFoundError("uvloop is not installed; pip install uvloop") from None
        factory: Factory = uvloop.new_event_loop
        return factory
    if ":" not in name:
        raise ValueError(f"there is no loop {name!r}; there is {', '.join(LOOPS)}, MODULE:FACTORY")
    return _named(name)


def _named(name: str) -> Factory:
    try:
        factory = load(name)
    except CannotLoadError as error:
        if error.module is not None:
            raise ModuleNotFoundError(
                f"there is no module {error.module!r} for the loop {name}; is it installed here?"
            ) from None
        raise ValueError(f"there is no loop {name}: {error}") from None
    except ImportError as error:
        raise ImportError(f"the loop {name} cannot be imported: {error}") from error
    if not callable(factory):
        kind = type(factory).__name__
        raise ValueError(f"the loop {name} is a {kind}, which cannot be called to make one")

    def make() -> Abstract:
        try:
            loop: Abstract = factory()
        except Exception as error:  # whatever a stranger's code raises
            raise LoopError(f"{name} made no loop: {type(error).__name__}: {error}") from error
        kind: type = type(loop)
        # Not all derive from AbstractEventLoop, and that alone does nothing.
        if not hasattr(loop, "run_until_complete") or kind is Abstract:
            raise LoopError(f"{name} made no loop, but an object of {kind.__name__}")
        return loop

    return make


def refuse_within_a_loop() -> None:
    """Raises RuntimeError where one runs, in which no other can."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("run() has a loop of its own, and one runs here already: use serve()")


def keep_read_buffers() -> None:
    """Have malloc serve the loops' read buffers from memory that it keeps.

    The selector loop allocates 256 KiB for every read. Until something larger has been freed
    once, glibc takes that from fresh pages and gives them back each time (M_MMAP_THRESHOLD in
    mallopt(3), 128 KiB at first): an echo then costs 33 us of CPU instead of 8.
    """
    bytes(1024 * 1024)
