"""aiofastnet's transports, on asyncio's own loop and on uvloop, for `python -m aionet --loop`.

It is no loop but patches one, as its page has it, so that there is nothing to serve differently.
"""

from __future__ import annotations

import asyncio

import aiofastnet

from aionet.loops import loop_factory


def on_asyncio() -> asyncio.AbstractEventLoop:
    return _patched("asyncio")


def on_uvloop() -> asyncio.AbstractEventLoop:
    return _patched("uvloop")


def _patched(name: str) -> asyncio.AbstractEventLoop:
    make = aiofastnet.loop_factory(loop_factory(name))
    loop: asyncio.AbstractEventLoop = make()
    return loop
