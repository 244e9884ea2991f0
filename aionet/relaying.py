"""Carry bytes between two streams."""

from __future__ import annotations

import asyncio

from aionet.limits import CloseReason
from aionet.stream import Stream
from aionet.stream_errors import BrokenStreamError


async def relay(one: Stream, other: Stream) -> None:
    """Carry what each of the two sends to the other, until both have finished.

    Who does not read is not read for (back-pressure): no more waits than Limits.write_buffer each
    way. An end is handed on as an end, in one direction at a time (half-close), and a broken
    connection as a broken one (RST), so that nobody takes half an answer for a whole one; so is one
    whose peer had not finished when the server drained. A proxy is this and `connect`. Raises
    nothing for what the peers do; both streams are closed then.
    """
    for each in (one, other):
        if not isinstance(each, Stream):
            raise ValueError(f"{each!r} is no stream, so nothing can be relayed")
    whole = False
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(one, other))
            tasks.create_task(_carry(other, one))
        whole = True
    except* BrokenStreamError:
        pass
    finally:
        for each in (one, other):
            if whole:
                each.close()
            else:
                each.abort()


async def _carry(source: Stream, sink: Stream) -> None:
    async for data in source:
        await sink.send_all(data)
    if source.is_cut:
        raise BrokenStreamError(CloseReason.DRAIN, source)
    await sink.send_eof()
