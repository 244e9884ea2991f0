"""Carry bytes between two streams."""

from __future__ import annotations

import asyncio

from aionet.stream import Stream
from aionet.stream_errors import BrokenStreamError


async def relay(one: Stream, other: Stream) -> None:
    """Carry what each of the two sends to the other, until both have finished.

    Who does not read is not read for (back-pressure): no more waits than Limits.write_buffer each
    way. An end is handed on as an end, in one direction at a time (half-close), and a broken
    connection as a broken one (RST), so that nobody takes half an answer for a whole one. In a
    drain it goes on until both have finished, or the time of the drain is over, which is a reset of
    both: nobody here knows whether something is on its way. What began in a drain hears no more of
    a peer of that server than had come before. A proxy is this and `connect`. Raises nothing for
    what the peers do; both streams are closed then.
    """
    for each in (one, other):
        if not isinstance(each, Stream):
            raise ValueError(f"{each!r} is no stream, so nothing can be relayed")
    one.relayed = other.relayed = True
    got_all: dict[Stream, bool] = {}
    try:
        async with asyncio.TaskGroup() as tasks:
            carrying = {
                sink: tasks.create_task(_carry(source, sink))
                for source, sink in ((one, other), (other, one))
            }
        got_all = {sink: task.result() for sink, task in carrying.items()}
    except* BrokenStreamError:
        pass
    finally:
        for each in (one, other):
            if got_all.get(each):
                each.close()
            else:
                each.abort()


async def _carry(source: Stream, sink: Stream) -> bool:
    """Whether all of it came to its end; what a drain had cut before has none."""
    async for data in source:
        await sink.send_all(data)
    if source.is_cut:
        return False
    await sink.send_eof()
    return True
