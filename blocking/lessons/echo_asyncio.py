"""Echo on asyncio: `echo_coroutines` with a loop that somebody else has written.

A task for each connection, `await` wherever it would wait. `drain` is the back-pressure: it waits
while more than 64 KiB could not be sent, and so nothing more is read; without it all that a client
sends and does not read is kept. `aionet` has what this lacks.
"""

import asyncio
import sys


async def main(port: int = 7007) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
