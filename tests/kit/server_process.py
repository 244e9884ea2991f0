"""A server process: its clients, what the kernel knows of it, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import DEADLINE_S
from kernel_socket import KernelSocket, kernel_socket
from patient_client import PIECE, Client

Address = tuple[str, int] | str  # a str is the path of a unix socket


class Server:
    """A server process that said READY; leaving it asserts that it ends as it should."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._stderr = stderr
        self._clients = contextlib.ExitStack()
        self._told_to_stop = False
        self.expected_status = 0
        self.expected_stderr = ""  # a regular expression for all of it

    def wait_until_ready(self, addresses: int = 1) -> None:
        """Read where it listens: so many lines of READY."""
        self.urls: list[str] = []
        self.addresses: list[Address] = []
        for _ in range(addresses):
            line = self.line()
            match = re.fullmatch(r"READY ((tcp|udp)://(\S+):(\d+)|unix:(//)?(\S+))", line)
            assert match, f"it said {line!r} instead of READY, and {self.stderr!r}"
            self.urls.append(match[1])
            self.addresses.append(match[6] or (match[3].strip("[]"), int(match[4])))
        self.url, self.address = self.urls[0], self.addresses[0]

    def line(self) -> str:
        """The next line that it says, without its end."""
        out = self._process.stdout
        assert out is not None
        readable, _, _ = select.select([out], [], [], DEADLINE_S)
        return out.readline().decode().removesuffix("\n") if readable else "nothing"

    @property
    def port(self) -> int:
        return int(self.address[1])

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    # Clients; all are closed before the server is.

    def connect(
        self,
        to: Address | None = None,
        *,
        source: str | None = None,
        receive_buffer: int | None = None,
        max_segment: int | None = None,
    ) -> Client:
        """A connection to the first address, or `to`, from the host `source`."""
        address = self.address if to is None else to
        family = socket.AF_UNIX
        if not isinstance(address, str):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = self._clients.enter_context(socket.socket(family))
        if receive_buffer:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if max_segment:  # with small ones the kernels keep less in between
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, max_segment)
        if source:
            sock.bind((source, 0))
        sock.settimeout(DEADLINE_S)
        sock.connect(address)
        return Client(sock)

    def close_with_the_others(self, sock: socket.socket) -> None:
        """Close it, too, before the server is stopped."""
        self._clients.enter_context(sock)

    def visit(self) -> Client:
        """A client that has read the greeting of a chat and given no name."""
        client = self.connect()
        assert (client.line() or "").startswith("* ")
        return client

    def join(self, name: str, **options: int) -> Client:
        """A member of the chat that has read its roster."""
        client = self.connect(**options)
        client.say(name)
        greeting, roster = client.line(), client.line() or ""
        assert (greeting or "").startswith("* ")
        assert roster.startswith("* The room contains:"), roster
        return client

    def roster(self, name: str) -> list[str]:
        """Who is in the room, as a newcomer called `name` is told; it leaves again."""
        client = self.visit()
        client.say(name)
        roster = client.line() or ""
        assert roster.startswith("* The room contains:"), roster
        client.half_close()
        client.receive_rest()
        client.close()
        return sorted(roster.partition(":")[2].replace(",", " ").split())

    def udp(
        self, to: Address | None = None, *, source: tuple[str, int] | None = None
    ) -> socket.socket:
        """A UDP socket that hears only the server, bound to `source`."""
        sock = self._clients.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        sock.settimeout(DEADLINE_S)
        if source:
            sock.bind(source)
        sock.connect(self.address if to is None else to)
        return sock

    def assert_serving(self, to: Address | None = None, *, source: str | None = None) -> None:
        """A new client is served."""
        client = self.connect(to, source=source)
        assert client.exchange(b"still there?") == b"still there?"
        client.half_close()
        assert client.receive_rest() == b""
        client.close()

    def refuses_connections(self) -> bool:
        with socket.socket() as sock:
            try:
                sock.connect(self.address)
            except (ConnectionRefusedError, ConnectionResetError):
                return True
        return False

    # What the kernel knows of its connections and of the process; proc(5).

    def end_of(self, client: Client) -> KernelSocket | None:
        """The server's end of an IPv4 connection, also after the server has closed it."""
        return kernel_socket(self.port, client.sock.getsockname()[1])

    def has_echoed(self, client: Client, size: int) -> bool:
        """Whether `size` bytes that the client has not read are on their way back to it."""
        here, there = kernel_socket(client.sock.getsockname()[1], self.port), self.end_of(client)
        assert here is not None
        assert there is not None
        return here.unread + there.unacknowledged >= size

    def children(self) -> set[int]:
        return set(map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self) -> int:
        (kilobytes,) = re.findall(
            r"^Rss: +(\d+) kB$", Path(f"/proc/{self.pid}/smaps_rollup").read_text(), re.MULTILINE
        )
        return int(kilobytes) * 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # Life and death.

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is accepted, read or answered in the meantime, but the kernel goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        self._told_to_stop = True
        self._process.terminate()

    def kill(self) -> None:
        self._told_to_stop = True
        self.expected_status = -signal.SIGKILL
        self._process.kill()

    def wait(self, timeout: float = DEADLINE_S) -> int:
        """The exit status, within `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the server has not ended within {timeout:g} s; it said {self.stderr!r}")

    def _rest_of_stdout(self) -> str:
        out, said = self._process.stdout, b""
        assert out is not None
        while select.select([out], [], [], DEADLINE_S)[0]:
            if not (piece := out.read(PIECE)):
                return said.decode()
            said += piece
        pytest.fail("the server has ended, but a process that it started has not")

    def stop(self) -> None:
        """End it with SIGTERM, if it has not ended, and look at what it leaves behind."""
        self._clients.close()
        with self._process:
            try:
                if not self._told_to_stop:
                    self.terminate()
                status = self.wait()
                said = self._rest_of_stdout()
            finally:
                self._process.kill()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)  # and workers, should it have left some
        assert (status, said) == (self.expected_status, ""), self.stderr
        assert re.fullmatch(self.expected_stderr, self.stderr)
