"""What tests of several modules need: loops, TLS, and workers under supervision."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from loop_runs import Run, T
from supervisors import Script, Start

from aionet import throttle
from aionet.loops import LOOPS, loop_factory
from aionet.tls import server_context


@pytest.fixture(autouse=True)
def nothing_logged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test had logged is not left out in the next."""
    monkeypatch.setattr(throttle, "_kinds", {})
    monkeypatch.setattr(throttle, "_traced", {})


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine on each loop, with a deadline."""

    def run(work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE_S):
                return await work

        with asyncio.Runner(loop_factory=loop_factory(request.param)) as runner:
            return runner.run(bounded())

    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key, both in one file, and the key of another."""
    directory = tmp_path_factory.mktemp("tls")
    for name in ("mine", "other"):
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
            f"-keyout {name}.key -out {name}.pem -days 2 -subj /CN=localhost "
            "-addext subjectAltName=IP:127.0.0.1"
        )
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    both = (directory / "mine.pem").read_text() + (directory / "mine.key").read_text()
    (directory / "both.pem").write_text(both)
    return directory


@pytest.fixture
def tls(files: Path) -> ssl.SSLContext:
    return server_context(files / "mine.pem", files / "mine.key")


@pytest.fixture
def trusting(files: Path) -> ssl.SSLContext:
    """What a client needs to know of the server."""
    return ssl.create_default_context(cafile=str(files / "mine.pem"))


@pytest.fixture
def script(start: Start) -> Callable[..., Script]:
    return lambda code, **options: Script(start, code, **options)
