"""The same subset of Redis on a bare asyncio.Protocol, with the same parser and dictionary."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from redis_subset import Database
from resp import Requests


class Connection(asyncio.Protocol):
    def __init__(self, database):
        self.database = database

    def connection_made(self, transport):
        self.transport, self.requests = transport, Requests()

    def data_received(self, data):
        for answer in self.requests.receive_data(data, self.database.answer):
            if not isinstance(answer, bytes):
                self.transport.close()
            else:
                self.transport.write(answer)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def main(host, port):
    database, loop = Database(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(database), host, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.run(main(*sys.argv[1:3]))
    else:
        asyncio.run(main(*sys.argv[1:3]))
