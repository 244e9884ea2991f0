"""The same echo over TLS on asyncio's streams."""

import asyncio
import ssl
import sys


async def handle(reader, writer):
    certificate = writer.get_extra_info("peercert")
    subject = dict(pair for rdn in certificate["subject"] for pair in rdn)
    try:
        writer.write(f"hello, {subject.get('commonName')}\n".encode())
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(host, port, certificate, key, client_ca):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["echo"])
    async with await asyncio.start_server(handle, host, int(port), ssl=context) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
