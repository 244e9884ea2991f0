"""Echo on asyncio: `echo_coroutines` with a loop that somebody else has written.

A task for each connection, `await` wherever it would wait. `drain` is the back-pressure: above
64 KiB that could not be sent it waits until there are less than 16, and meanwhile nothing is read;
without it all that a client sends and does not read is kept. `aionet` has what this lacks: limits,
deadlines, and a way to end.
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
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
