"""The fault catalogue against real server processes, one model after the other.

A test says which row of the catalogue it shows, and runs once for each model:

    @pytest.mark.fault("tcp/10")
    def test_client_that_never_reads_is_reset_at_the_write_limit(serve): ...

`together=True` marks what needs several clients to be served at the same time, which the
one-at-a-time server cannot do by nature: ONE_AT_A_TIME says why, row by row.

`pytest tests/conformance --interpreter /usr/bin/python3.13` runs the servers under that Python.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from deadline import wait_until
from model_servers import MODELS, Serve
from server_process import Server

ONE_AT_A_TIME = {
    "tcp/16": "it never holds more than one connection, so it has descriptors to spare",
    "chat/5": "nobody else is in the room to talk to the member that stalls",
    "chat/6": "nobody else is in the room to be told",
    "life/1": "two clients are never in the room at the same time",
    "life/2": "the stalled client is the one being served; there is none beside it",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interpreter",
        metavar="PATH",
        help="the Python that runs the servers (default: the one that runs the tests); "
        "known only where tests/conformance is on the command line",
    )


def interpreter_of(config: pytest.Config) -> str:
    return config.getoption("interpreter", None) or sys.executable


@cache
def why_not(interpreter: str, module: str | None) -> str:
    """Why what needs `module` cannot run under `interpreter`; empty if it can."""
    if module is None:
        return ""
    code = f"import {module}"
    attempt = subprocess.run([interpreter, "-c", code], capture_output=True, check=False)
    return f"{interpreter} has no {module}" if attempt.returncode else ""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "fault(row, *, together=False, models=...): shows a row of the fault catalogue; "
        "together: several clients must be served at the same time",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("fault")
    if marker is None or "model" not in metafunc.fixturenames:
        return
    (row,) = marker.args
    params = []
    for model in marker.kwargs.get("models", MODELS):
        module = "uvloop" if model == "uvloop" else None
        reason = why_not(interpreter_of(metafunc.config), module)
        if model == "blocking" and marker.kwargs.get("together"):
            reason = f"{row}: {ONE_AT_A_TIME[row]}"
        marks = [pytest.mark.skip(reason=reason)] if reason else []
        params.append(pytest.param(model, id=f"{row}-{model}", marks=marks))
    metafunc.parametrize("model", params)


@pytest.fixture
def serve(model: str, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Serve]:
    """Starts a server: `serve("chat", "--outbox", "65536")`."""
    serve = Serve(model, tmp_path, interpreter_of(pytestconfig))
    try:
        yield serve
    finally:
        serve.stop()


@pytest.fixture
def interpreter(pytestconfig: pytest.Config) -> str:
    """The Python that runs the servers."""
    return interpreter_of(pytestconfig)


@pytest.fixture
def must_run(interpreter: str) -> Callable[[str | None], None]:
    """Skips the test where the interpreter lacks a module."""

    def must_run(module: str | None) -> None:
        if reason := why_not(interpreter, module):
            pytest.skip(reason)

    return must_run


@pytest.fixture
def echo(serve: Serve) -> Server:
    return serve("echo")


@pytest.fixture
def chat(serve: Serve) -> Server:
    return serve("chat")


@pytest.fixture
def udp_echo(serve: Serve) -> Server:
    return serve("udp-echo")


@pytest.fixture
def eventually() -> Callable[..., None]:
    return wait_until
