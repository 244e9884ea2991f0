"""The same RPC server on asyncio's streams."""

import asyncio
import json
import struct
import sys

LIMIT, PARALLEL, QUEUE = 64 * 1024, 16, 1024 * 1024
WRONG = ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError


class Rpc:
    def __init__(self):
        self.writers, self.count = set(), 0
        self.methods = {"add": self.add, "wait": self.wait, "who": self.who}

    async def add(self, writer, *numbers):
        return sum(numbers)

    async def wait(self, writer, seconds):
        await asyncio.sleep(min(seconds, 10))
        return "waited"

    async def who(self, writer):
        return writer.get_extra_info("peername")[0]

    async def handle(self, reader, writer):
        self.writers.add(writer)
        places = asyncio.Semaphore(PARALLEL)
        try:
            async with asyncio.TaskGroup() as calls:
                while True:
                    (size,) = struct.unpack("!I", await reader.readexactly(4))
                    if size > LIMIT:
                        break
                    message = await reader.readexactly(size)
                    await places.acquire()
                    calls.create_task(self.answer(writer, message, places))
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def answer(self, writer, message, places):
        number = None
        try:
            request = json.loads(message)
            json.dumps(request, allow_nan=False)
            number = request["id"]
            result = await self.methods[request["method"]](writer, *request.get("args", []))
            reply = json.dumps({"id": number, "result": result}, allow_nan=False)
        except WRONG as error:
            reply = json.dumps({"id": number, "error": f"{type(error).__name__}: {error}"[:200]})
        finally:
            places.release()
        data = reply.encode()
        writer.write(struct.pack("!I", len(data)) + data)
        await writer.drain()

    async def tick(self):
        while True:
            await asyncio.sleep(1)
            self.count += 1
            data = json.dumps({"push": "tick", "count": self.count}).encode()
            for writer in self.writers:
                if writer.transport.get_write_buffer_size() < QUEUE:
                    writer.write(struct.pack("!I", len(data)) + data)


async def main(host, port):
    rpc = Rpc()
    ticker = asyncio.create_task(rpc.tick())
    async with await asyncio.start_server(rpc.handle, host, int(port)) as server:
        await server.serve_forever()
    ticker.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
