"""TLS: what a client may say that nobody can read."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
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
