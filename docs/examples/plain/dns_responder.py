"""The same DNS responder on asyncio, with the same answers."""

import asyncio
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dns_responder import LARGEST, answer


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        if said := answer(data, LARGEST):
            self.transport.sendto(said, sender)


async def handle(reader, writer):
    try:
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            said = answer(await reader.readexactly(size), 65535)
            if not said:
                break
            writer.write(struct.pack("!H", len(said)) + said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(host, port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, (host, int(port)))
    async with await asyncio.start_server(handle, host, int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
