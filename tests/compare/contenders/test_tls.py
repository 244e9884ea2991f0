"""Contenders over TLS: those that have it echo, and the others say so."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from compare.host.certificate import Certificate, make, why_not

DEADLINE_S = 20.0
STREAMS = ("compare.contenders.asyncio_streams", "serve", "echo", "--loop")
FRAMEWORK = ("compare.contenders", "serve", "echo", "--framework")
PIECE = bytes(range(256)) * 256
CONTENDERS = {
    "asyncio-streams": (*STREAMS, "asyncio"),
    "uvloop-streams": (*STREAMS, "uvloop"),
    **{name: (*FRAMEWORK, name) for name in ("gevent", "tornado", "trio")},
}


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return make()


@pytest.mark.timeout(60)
@pytest.mark.skipif(why_not() is not None, reason="no openssl")
@pytest.mark.parametrize("name", CONTENDERS)
def test_bytes_come_back_over_tls_and_it_ends_without_a_word(
    start: Callable[..., Any], certificate: Certificate, name: str
) -> None:
    if find_spec(name.removesuffix("-streams")) is None:
        pytest.skip(f"{name} is not installed")
    server = start("-m", *CONTENDERS[name], "--tls-cert", certificate.path)
    port = int(server.stdout.readline().rpartition(b":")[2])
    context = ssl.create_default_context(cadata=certificate.pem)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(PIECE)
        got = b""
        while len(got) < len(PIECE):
            data = client.recv(65536)
            assert data
            got += data
        assert got == PIECE
        assert client.version() == "TLSv1.3"
    server.terminate()
    assert server.wait(DEADLINE_S) == 0
    assert server.stderr.read() == b""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rloop", "error: rloop 0.5 has no TLS: its create_server(ssl=...) is not implemented\n"),
        ("twisted", "error: twisted is served here without TLS, for which it needs pyOpenSSL\n"),
    ],
)
def test_who_has_none_says_so(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from compare.contenders.__main__ import main

    with pytest.raises(SystemExit) as exit_:
        main(["serve", "echo", "--framework", name, "--tls-cert", "pair.pem"])
    assert (exit_.value.code, capsys.readouterr().err) == (1, words)
