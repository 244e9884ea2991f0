"""An RPC server: messages of JSON with their length before them, answers, and pushes to all.

    python docs/examples/rpc.py tcp://127.0.0.1:7020

A request is {"id": 1, "method": "add", "args": [1, 2]}, its answer {"id": 1, "result": 3}.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet

LIMIT, PARALLEL = 64 * 1024, 16  # bytes of a message; requests of one peer at a time
WRONG = ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError


class Rpc:
    def __init__(self) -> None:
        self.streams: set[aionet.Stream] = set()

    async def do_add(self, stream: aionet.Stream, *numbers: float) -> float:
        return sum(numbers)

    async def do_wait(self, stream: aionet.Stream, seconds: float) -> str:
        await asyncio.sleep(min(seconds, 10))
        return "waited"

    async def do_who(self, stream: aionet.Stream) -> str:
        return str(stream.address[0])

    async def handle(self, stream: aionet.Stream) -> None:
        self.streams.add(stream)
        stream.context.places = asyncio.Semaphore(PARALLEL)
        try:
            async with asyncio.TaskGroup() as calls:
                async for message in stream.frames(limit=LIMIT):
                    await stream.context.places.acquire()
                    calls.create_task(self.answer(stream, message))
        finally:
            self.streams.discard(stream)

    async def answer(self, stream: aionet.Stream, message: bytes) -> None:
        number = None
        try:
            request = json.loads(message)
            json.dumps(request, allow_nan=False)  # NaN and Infinity are no JSON
            number = request["id"]
            method = getattr(self, f"do_{request['method']}")
            result = await method(stream, *request.get("args", []))
            reply = json.dumps({"id": number, "result": result}, allow_nan=False)
        except WRONG as error:
            reply = json.dumps({"id": number, "error": f"{type(error).__name__}: {error}"[:200]})
        finally:
            stream.context.places.release()
        await stream.send_frame(reply.encode())

    async def tick(self) -> None:
        frames = aionet.LengthPrefixed(4, limit=LIMIT)
        for count in itertools.count(1):
            await asyncio.sleep(1)
            push = frames.encode(json.dumps({"push": "tick", "count": count}).encode())
            for stream in self.streams:
                stream.send_nowait(push)  # who does not read misses it, and holds up nobody


@asynccontextmanager
async def app(worker: aionet.Worker) -> AsyncIterator[aionet.Handler]:
    rpc = Rpc()
    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(rpc.tick())
        yield rpc.handle
        ticker.cancel()


if __name__ == "__main__":
    raise SystemExit(aionet.run(app, *sys.argv[1:]))
