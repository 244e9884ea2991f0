"""The event loops by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOPS = ("asyncio", "uvloop")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a loop called `name`, for `asyncio.Runner(loop_factory=...)`.

    Raises ModuleNotFoundError, saying what to install, where uvloop is missing.
    """
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    if name != "uvloop":
        raise ValueError(f"there is no loop {name!r}; there is {', '.join(LOOPS)}")
    try:
        import uvloop
    except ModuleNotFoundError:
        raise ModuleNotFoundError("uvloop is not installed; pip install uvloop") from None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


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
