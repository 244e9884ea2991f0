"""An echo that knows its clients by their certificates (mutual TLS).

    python docs/examples/tls_echo.py tcp://127.0.0.1:7040 cert.pem key.pem client-ca.pem

New certificates are taken when the files change.
"""

import sys

import aionet


async def handler(stream: aionet.Stream) -> None:
    subject = dict(pair for rdn in stream.get_extra_info("peercert")["subject"] for pair in rdn)
    await stream.send_all(f"hello, {subject.get('commonName')}\n".encode())
    async for data in stream:
        await stream.send_all(data)


if __name__ == "__main__":
    where, certificate, key, client_ca = sys.argv[1:]
    context = aionet.server_context(certificate, key, client_ca=client_ca, alpn=["echo"])
    raise SystemExit(aionet.run(handler, where, tls=context))
