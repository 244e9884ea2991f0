"""An RPC server: messages of JSON with their length before them, answers, and pushes to all.

    python docs/examples/rpc.py tcp://127.0.0.1:7020

A request is {"id": 1, "method": "add", "args": [1, 2]}, its answer {"id": 1, "result": 3} or
{"id": 1, "error": "..."}; {"push": "tick", "count": 7} comes by itself once a second.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager, suppress

import aionet

LIMIT = 64 * 1024  # bytes of a message
PARALLEL = 16  # requests of one connection that are worked on at a time


class Rpc:
    def __init__(self):
        self.streams, self.count = set(), 0
        self.methods = {"add": self.add, "wait": self.wait, "who": self.who}

    async def add(self, stream, *numbers):
        return sum(numbers)

    async def wait(self, stream, seconds):
        await asyncio.sleep(min(seconds, 10))
        return "waited"

    async def who(self, stream):
        return stream.address[0]

    async def handle(self, stream):
        self.streams.add(stream)
        places = asyncio.Semaphore(PARALLEL)
        try:
            async with asyncio.TaskGroup() as calls:
                async for message in stream.frames(limit=LIMIT):
                    await places.acquire()
                    calls.create_task(self.answer(stream, message, places))
        finally:
            self.streams.discard(stream)

    async def answer(self, stream, message, places):
        number = None
        try:
            request = json.loads(message)
            number = request["id"]
            result = await self.methods[request["method"]](stream, *request.get("args", []))
            reply = {"id": number, "result": result}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reply = {"id": number, "error": f"{type(error).__name__}: {error}"}
        finally:
            places.release()
        await stream.send_frame(json.dumps(reply).encode())

    async def tick(self):
        frames = aionet.LengthPrefixed(4, limit=LIMIT)
        while True:
            await asyncio.sleep(1)
            self.count += 1
            push = frames.encode(json.dumps({"push": "tick", "count": self.count}).encode())
            for stream in self.streams:
                stream.send_nowait(push)  # who does not read misses it, and holds up nobody


@asynccontextmanager
async def app(worker):
    rpc = Rpc()
    ticker = asyncio.create_task(rpc.tick())
    yield rpc.handle
    ticker.cancel()
    with suppress(asyncio.CancelledError):
        await ticker


if __name__ == "__main__":
    raise SystemExit(aionet.run(app, *sys.argv[1:]))
