"""TLS: new keys in the midst of a connection, with a client of OpenSSL that asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run
from tls_clients import Witness
from tls_wire import Shell

from aionet.core import State
from aionet.limits import CloseReason
from aionet.protocol import Echo
from aionet.server import Server, serve

ALLOWED = 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION, for which ssl has no name


class Talk:
    """openssl s_client(1). Lines of one letter are commands: K and k for new keys, R for both."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout

    def say(self, line: bytes) -> None:
        self._stdin.write(line + b"\n")

    async def hears(self, line: bytes) -> bool:
        """Whether this comes, or else the end."""
        async for each in self._stdout:
            if each == line + b"\n":
                return True
        return False

    async def hears_nothing_more(self) -> bytes:
        return await self._stdout.read()


@contextlib.asynccontextmanager
async def talk(server: Server, *options: str) -> AsyncIterator[Talk]:
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{server.addresses[0].port}", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Talk(process)
    finally:
        # Not process.kill(), which asks first whether it has ended (subprocess.Popen.poll), takes
        # its status from the loop in that case, and the loop warns of it.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [each for each in caplog.get_records("call") if each.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("command", [b"k", b"K"])
def test_keys_are_updated_as_often_as_asked_for(
    run: Run[Any], tls: ssl.SSLContext, command: bytes
) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY, tls=tls) as server, talk(server, "-tls1_3") as client:
            for number in range(5):
                line = b"hello %d" % number
                client.say(line)
                assert await client.hears(line)
                client.say(command)
                assert await client.hears(b"KEYUPDATE")

    run(main())


def test_a_renegotiation_is_refused(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def main() -> None:
        witness = Witness()
        async with (
            serve(Echo(), ANY, tls=tls, hooks=witness.hooks) as server,
            talk(server, "-tls1_2") as client,
        ):
            client.say(b"hello")
            assert await client.hears(b"hello")
            client.say(b"R")
            assert b"no renegotiation" in await client.hears_nothing_more()
            assert await witness.one_end() in (CloseReason.EOF, CloseReason.RESET)

    run(main())


def test_a_program_may_allow_a_renegotiation(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def main() -> None:
        tls.options = (tls.options & ~ssl.OP_NO_RENEGOTIATION) | ALLOWED
        async with serve(Echo(), ANY, tls=tls) as server, talk(server, "-tls1_2") as client:
            for _ in range(3):
                client.say(b"hello")
                assert await client.hears(b"hello")
                client.say(b"R")
                assert await client.hears(b"RENEGOTIATING")

    run(main())


def test_who_is_talked_to_in_the_midst_of_a_renegotiation_is_let_go(tls: ssl.SSLContext) -> None:
    tls.options = (tls.options & ~ssl.OP_NO_RENEGOTIATION) | ALLOWED
    shell = Shell(tls, Echo())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", to, "-tls1_2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with client, listener.accept()[0] as sock:
            assert client.stdin is not None
            while shell.peer.state is State.HANDSHAKE:
                sock.sendall(shell.arrive(sock.recv(1 << 16)))
            client.stdin.write(b"R\n")
            client.stdin.flush()
            assert shell.arrive(sock.recv(1 << 16))  # and it is not told
            shell.hub.send(shell.peer, b"hello")
            shell.settle()
            client.kill()
    assert shell.peer.state is State.FLUSHING
    assert shell.peer.reason is CloseReason.RESET
