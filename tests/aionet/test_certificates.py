"""Certificates of a server: by name, of clients, and read again while it serves."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from handler_notes import records
from loop_clients import ANY
from loop_runs import Run

from aionet import BrokenStreamError, Echo, Stream, connect, serve, server_context


class Authority:
    """One that signs, and the files of what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / f"ca-{id(self)}.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, file: str = "") -> Path:
        """A PEM file of a certificate for `name` and its key."""
        path = self._folder / (file or f"{name.replace('*', 'any')}.pem")
        issued = self._ca.issue_cert(name)
        fresh = path.with_suffix(".new")
        issued.private_key_and_cert_chain_pem.write_to_path(fresh)
        os.replace(fresh, path)
        return path

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def names(stream: Stream) -> set[str]:
    return {name for _, name in stream.get_extra_info("peercert")["subjectAltName"]}


async def shown(address: Any, ca: Authority, name: str) -> set[str]:
    """The names in the certificate that a server shows to who asks for `name`."""
    async with await connect(address, tls=ca.client(), server_hostname=name) as stream:
        return names(stream)


def test_certificate_is_that_of_the_name_that_is_asked_for(run: Run[Any], ca: Authority) -> None:
    context = server_context(
        ca.issue("localhost"),
        hosts={"a.example": ca.issue("a.example"), "*.b.example": ca.issue("*.b.example")},
    )

    async def main() -> None:
        async with serve(Echo(), ANY, tls=context) as server:
            (address,) = server.addresses
            assert await shown(address, ca, "localhost") == {"localhost"}
            assert await shown(address, ca, "A.example") == {"a.example"}
            assert await shown(address, ca, "x.b.example") == {"*.b.example"}
            with pytest.raises(ssl.SSLCertVerificationError):
                await shown(address, ca, "c.example")

    run(main())


def test_changed_files_are_taken_and_who_is_there_goes_on(run: Run[Any], ca: Authority) -> None:
    path = ca.issue("localhost", "now.pem")
    context = server_context(path)

    async def main() -> None:
        async with serve(Echo(), ANY, tls=context) as server:
            (address,) = server.addresses
            async with await connect(
                address, tls=ca.client(), server_hostname="localhost"
            ) as before:
                ca.issue("renewed.example", "now.pem")
                while True:
                    try:
                        assert await shown(address, ca, "renewed.example") == {"renewed.example"}
                        break
                    except ssl.SSLCertVerificationError:
                        await asyncio.sleep(0.1)
                await before.send_all(b"still there")
                assert await before.receive_exactly(11) == b"still there"

    run(main())


def test_files_that_cannot_be_used_change_nothing(
    run: Run[Any], ca: Authority, caplog: Any
) -> None:
    path = ca.issue("localhost", "now.pem")
    context = server_context(path)

    async def main() -> None:
        async with serve(Echo(), ANY, tls=context) as server:
            (address,) = server.addresses
            path.write_text("nonsense")
            server.reload_certificates()
            assert await shown(address, ca, "localhost") == {"localhost"}
            path.unlink()
            server.reload_certificates()
            assert await shown(address, ca, "localhost") == {"localhost"}

    run(main())
    said = [record.getMessage() for record in records(caplog)]
    assert len(said) == 2
    assert all("certificates cannot be read, and stay as they are" in each for each in said)
    assert all(str(path) in each for each in said)


def test_it_waits_until_both_files_have_changed(ca: Authority, tmp_path: Path, files: Path) -> None:
    for name in ("pem", "key"):
        shutil.copy(files / f"mine.{name}", tmp_path / f"now.{name}")
    context = server_context(tmp_path / "now.pem", tmp_path / "now.key")
    assert not context.reload_if_changed()
    shutil.copy(files / "other.pem", tmp_path / "now.pem")
    assert not context.reload_if_changed()  # it may not be all
    shutil.copy(files / "other.key", tmp_path / "now.key")
    assert not context.reload_if_changed()
    assert context.reload_if_changed()
    assert not context.reload_if_changed()


@pytest.mark.parametrize("need", ["required", "optional"])
def test_clients_have_certificates(run: Run[Any], ca: Authority, tmp_path: Path, need: Any) -> None:
    strangers = Authority(tmp_path)
    context = server_context(
        ca.issue("localhost"), client_ca=ca.file, client_cert=need, alpn=["echo"]
    )

    async def handler(stream: Stream) -> None:
        certificate = stream.get_extra_info("peercert")
        said = sorted(names(stream)) if certificate else ["nobody"]
        await stream.send_all(",".join(said).encode())
        await stream.receive()

    async def ask(client: ssl.SSLContext) -> bytes:
        client.set_alpn_protocols(["echo"])
        async with await connect(address, tls=client, server_hostname="localhost") as stream:
            assert stream.get_extra_info("ssl_object").selected_alpn_protocol() == "echo"
            return await stream.receive()

    async def main() -> None:
        nonlocal address
        async with serve(handler, ANY, tls=context) as server:
            (address,) = server.addresses
            assert await ask(ca.client(ca.issue("alice.example"))) == b"alice.example"
            stranger = ca.client(strangers.issue("mallory.example"))
            with pytest.raises(OSError, match=r"unknown ca|UNKNOWN_CA|gone"):
                await ask(stranger)
            if need == "optional":
                assert await ask(ca.client()) == b"nobody"
            else:
                with pytest.raises(OSError, match=r"required|REQUIRED|gone"):
                    await ask(ca.client())

    address: Any = None
    run(main())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"client_cert": "required"}, "needs client_ca"),
        ({"client_cert": "perhaps"}, "it must be 'none', 'optional' or 'required'"),
    ],
)
def test_what_cannot_be_meant_is_refused(files: Path, settings: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        server_context(files / "both.pem", **settings)


def test_files_that_do_not_belong_together_are_refused(files: Path) -> None:
    with pytest.raises(OSError, match="is not that of the certificate in"):
        server_context(files / "mine.pem", files / "other.key")
    with pytest.raises(FileNotFoundError):
        server_context(files / "both.pem", hosts={"a.example": files / "none.pem"})


def test_client_whose_certificate_is_refused_learns_why_where_it_receives(
    run: Run[Any], ca: Authority
) -> None:
    async def main() -> None:
        context = server_context(ca.issue("localhost"), client_ca=ca.file)
        async with serve(Echo(), ANY, tls=context) as server:
            stream = await connect(
                server.addresses[0], tls=ca.client(), server_hostname="localhost"
            )
            with pytest.raises(BrokenStreamError) as broken:
                await stream.receive_line()
        assert isinstance(broken.value.__cause__, ssl.SSLError)
        assert "certificate required" in str(broken.value.__cause__).lower().replace("_", " ")

    run(main())
