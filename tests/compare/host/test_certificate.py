"""The certificate of a run."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from compare.host import certificate

pytestmark = pytest.mark.skipif(certificate.why_not() is not None, reason="no openssl")


def test_server_has_it_and_a_client_trusts_it_and_no_other() -> None:
    mine = certificate.make()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mine.path)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with context.wrap_socket(theirs, server_side=True) as tls:
            tls.sendall(b"hello")

    serving = threading.Thread(target=serve)
    serving.start()
    trusting = ssl.create_default_context(cadata=mine.pem)
    with trusting.wrap_socket(ours, server_hostname="127.0.0.1") as client:
        assert client.recv(9) == b"hello"
    serving.join()


def test_what_a_client_gets_has_no_key() -> None:
    mine = certificate.make()
    assert "PRIVATE" not in mine.pem
    assert "PRIVATE" in Path(mine.path).read_text(encoding="ascii")


def test_other_processes_can_read_it() -> None:
    mine = certificate.make()
    assert subprocess.run(["cat", mine.path], capture_output=True, check=True).stdout


def test_key_is_gone_with_it() -> None:
    mine = certificate.make()
    path = mine.path
    del mine
    assert not os.path.exists(path) or "certificate" not in os.readlink(path)


def test_two_are_two() -> None:
    assert certificate.make().pem != certificate.make().pem


def test_machine_without_openssl_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert certificate.why_not() is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert certificate.why_not() == (
        "--tls needs openssl(1), which makes the certificate: apt install openssl"
    )


def test_openssl_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "openssl"
    broken.write_text("#!/bin/sh\necho one >&2\necho out of luck >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(OSError, match=r"^openssl made no certificate: out of luck$"):
        certificate.make()
