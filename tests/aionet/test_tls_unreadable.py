"""TLS: what a client may say that nobody can read."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY
from loop_runs import Run
from services import Noting
from tls_clients import TLSClient, Witness

from aionet.limits import CloseReason
from aionet.server import serve
from aionet.tls import server_context

MANY = 20


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    """A certificate, which signs itself, with a name that is not UTF-8, and its key."""
    file = tmp_path / "unreadable.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        f"-keyout {tmp_path}/key -out {tmp_path}/certificate -days 2 -subj /CN=unreadable "
        "-addext subjectAltName=DER:30:04:82:02:ff:fe"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    file.write_text((tmp_path / "certificate").read_text() + (tmp_path / "key").read_text())
    return file


def test_certificate_that_nobody_can_read_is_a_bad_handshake(
    run: Run[Any], files: Path, trusting: ssl.SSLContext, unreadable: Path, caplog: Any
) -> None:
    context = server_context(files / "mine.pem", files / "mine.key", client_ca=unreadable)
    trusting.load_cert_chain(unreadable)

    async def main() -> None:
        witness, service = Witness(), Noting()
        async with serve(service, ANY, tls=context, hooks=witness.hooks) as server:
            for number in range(1, MANY + 1):
                async with TLSClient(server, trusting) as client:
                    await client.send_packet(await client.answer() + client.wrapped(b"hello"))
                    while await client.receive_packet():
                        pass
                await witness.until(lambda number=number: len(witness.reasons) == number)
        assert set(witness.reasons) == {CloseReason.HANDSHAKE}
        assert service.calls == []

    run(main())
    said = {record.getMessage().partition(":")[0] for record in records(caplog)}
    assert said == {"a client's certificate cannot be read"}
    assert len(records(caplog)) < MANY
    assert all(record.exc_info is None for record in records(caplog))


def test_name_that_is_not_ascii_is_logged_a_few_times(
    run: Run[Any], files: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    pair = files / "mine.pem", files / "mine.key"
    context = server_context(*pair, hosts={"a.example": pair})
    asking = ssl.create_default_context()
    name = "x" * 20

    async def main() -> None:
        witness = Witness()
        async with serve(Noting(), ANY, tls=context, hooks=witness.hooks) as server:
            for number in range(1, MANY + 1):
                async with TLSClient(server, asking, name=name) as client:
                    hello = client.beginning()
                    assert name.encode() in hello
                    await client.send_packet(hello.replace(name.encode(), b"\xff" * len(name)))
                    assert (await client.receive_packet())[:1] == b"\x15"  # an alert
                    client.finish()
                    await witness.until(lambda number=number: len(witness.reasons) == number)
        assert set(witness.reasons) == {CloseReason.HANDSHAKE}

    run(main())
    assert unraisable == []
    assert 0 < len(records(caplog)) < MANY
    assert all("a name that is none" in record.getMessage() for record in records(caplog))


@pytest.mark.parametrize(
    ("told", "is_ours"),
    [
        ({"object": b"\xff"}, True),
        ({"err_msg": "Exception ignored in ssl servername callback while decoding name"}, True),
        ({}, False),
        ({"object": b"\xff", "exc_value": ValueError()}, False),
    ],
    ids=["until 3.13", "from 3.14", "another text", "another error"],
)
def test_only_names_are_taken_from_the_hook_for_what_cannot_be_raised(
    told: dict[str, Any], is_ours: bool, files: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    before: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", before.append)
    pair = files / "mine.pem", files / "mine.key"
    server_context(*pair, hosts={"a.example": pair})
    error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "not in range")
    what: Any = SimpleNamespace(**{"exc_value": error, "object": None, "err_msg": None} | told)
    sys.unraisablehook(what)
    assert before == ([] if is_ours else [what])
