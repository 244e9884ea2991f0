"""A program that calls run(): its clients, its workers, and how it ends."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deadline import DEADLINE_S

from aionet.address import Address
from aionet.loops import LOOPS

Start = Callable[..., "subprocess.Popen[bytes]"]

PRELUDE = """
import asyncio, ctypes, functools, logging, os, sys, threading, time
from functools import partial
import aionet

class Pid(aionet.Echo):
    def __init__(self):
        self.born = os.getpid()

    def receive_data(self, peer, data):
        return [(peer, b"%d %d" % (os.getpid(), self.born))]

async def shout(stream):
    async for data in stream:
        await stream.send_all(data.upper())

class Shouter:
    async def __call__(self, stream):
        await shout(stream)

async def shout_in(encoding, stream):
    await shout(stream)

@functools.wraps(shout)
def wrapped(*arguments):
    return shout(*arguments)

async def slowly():
    await asyncio.sleep(0.01)
    return aionet.Echo()

WHERE = "tcp://127.0.0.1:0"

def ready(addresses):
    os.write(1, (" ".join(map(str, addresses)) + "\\n").encode())

def run(*what, **settings):
    sys.exit(aionet.run(*what, on_ready=ready, **settings))
"""


each_loop = pytest.mark.parametrize("loop", LOOPS)
each_number = pytest.mark.parametrize("workers", [1, 2])


class Program:
    """A process that has called run(), and where it listens."""

    def __init__(self, start: Start, call: str, **options: Any) -> None:
        self.process = start("-c", PRELUDE + call, **options)
        out = self.process.stdout
        assert out is not None
        readable, _, _ = select.select([out], [], [], DEADLINE_S)
        line = out.readline().decode() if readable else "nothing in time"
        assert "://" in line, (line, self.process.poll())
        self.addresses = [Address.parse(each) for each in line.split()]

    @contextlib.contextmanager
    def connect(self, number: int = 0) -> Iterator[socket.socket]:
        address = self.addresses[number]
        unix, udp = address.scheme == "unix", address.scheme == "udp"
        with socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET,
            socket.SOCK_DGRAM if udp else socket.SOCK_STREAM,
        ) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(address.path if unix else (address.host, address.port))
            yield sock

    def ask(self, question: bytes = b"?", number: int = 0) -> bytes:
        with self.connect(number) as sock:
            sock.sendall(question)
            return sock.recv(1000)

    def ask_until(self, enough: Callable[[set[bytes]], object]) -> set[bytes]:
        """The different answers to many, until there are enough of them."""
        answers: set[bytes] = set()
        for _ in range(1000):  # the kernel deals them out by a hash of their ports
            answers.add(self.ask())
            if enough(answers):
                return answers
        pytest.fail(f"there were only {answers}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal; it must have gone well, and without a word."""
        self.process.send_signal(number)
        assert self.process.communicate(timeout=DEADLINE_S) == (b"", b"")
        assert self.process.returncode == 0
