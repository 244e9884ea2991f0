"""The same proxy on asyncio's streams."""

import asyncio
import logging
import sys


def to(host, port):
    async def handle(reader, writer):
        try:
            async with asyncio.timeout(5):
                other_reader, other_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            logging.warning("no connection to %s:%s: %s", host, port, error)
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(carry(reader, other_writer))
                tasks.create_task(carry(other_reader, writer))
        except* ConnectionError:
            writer.transport.abort()
            other_writer.transport.abort()
        finally:
            writer.close()
            other_writer.close()

    return handle


async def carry(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def main(host, port, upstream_host, upstream_port):
    handle = to(upstream_host, int(upstream_port))
    async with await asyncio.start_server(handle, host, int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
