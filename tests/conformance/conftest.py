"""The fault catalogue against real server processes, one model after the other.

A test says which row of the catalogue it shows, and runs once for each model:

    @pytest.mark.fault("tcp/10")
    def test_client_that_never_reads_is_reset_at_the_write_limit(serve): ...

`together=True` marks what needs several clients to be served at the same time, which the
one-at-a-time server cannot do by nature: ONE_AT_A_TIME says why, row by row.

`pytest tests/conformance --interpreter /usr/bin/python3.13` runs the servers under that Python.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0  # for what takes milliseconds, on a machine that is busy with other things
STUCK_S = 0.5  # a peer that takes nothing for so long has stopped reading
PIECE = 256 * 1024

Address = tuple[str, int] | str  # a str is the path of a unix socket

MODELS = {
    "blocking": ("blocking", "--model"),
    "threaded": ("blocking", "--model"),
    "epoll": ("blocking", "--model"),
    "asyncio": ("aionet", "--loop"),
    "uvloop": ("aionet", "--loop"),
}
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


def wait_until(condition: Callable[[], object], what: str, *, within: float = DEADLINE_S) -> None:
    """Return as soon as `condition()` holds; fail when it does not `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.002)


class KernelSocket(NamedTuple):
    """One end of a TCP connection as the kernel tells it, whoever has it, if anybody has."""

    state: str
    unacknowledged: int  # bytes
    unread: int
    inode: int


def kernel_socket(local: int, remote: int) -> KernelSocket | None:
    """The end at port `local` of the IPv4 connection with port `remote` on this machine."""
    here, there = f":{local:04X} ", f":{remote:04X} "
    for _ in range(3):  # the table may change while it is read, and a row be left out
        for line in Path("/proc/net/tcp").read_text().splitlines():
            if here in line and there in line:
                _, left, right, state, queues, _, _, _, _, inode, *_ = line.split()
                if f"{left} ".endswith(here) and f"{right} ".endswith(there):
                    unacknowledged, unread = (int(queue, 16) for queue in queues.split(":"))
                    return KernelSocket(state, unacknowledged, unread, int(inode))
    return None


class Client:
    """A connection whose every step has a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(DEADLINE_S)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._lines = bytearray()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end."""
        received = bytearray()
        while len(received) < size and (data := self.sock.recv(size - len(received))):
            received += data
        return bytes(received)

    def receive_rest(self) -> bytes:
        """All there is, up to the end."""
        received = bytearray()
        while data := self.sock.recv(PIECE):
            received += data
        return bytes(received)

    def exchange(self, data: bytes) -> bytes:
        """What comes back for `data`, at most as long: sent and received at the same time."""
        unsent, received = memoryview(data), bytearray()
        while len(received) < len(data):
            readable, writable = self.poll(DEADLINE_S, write=bool(unsent))
            assert readable or writable, f"stuck after {len(received)} of {len(data)} bytes"
            if writable:
                unsent = unsent[self.send_some(unsent) :]
            if readable:
                piece = self.sock.recv(min(PIECE, len(data) - len(received)))
                if not piece:
                    break
                received += piece
        return bytes(received)

    def send_some(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes at once, possibly nothing."""
        try:
            return self.sock.send(data[:PIECE], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def send_until_stuck(self, data: bytes, *, patience: float = STUCK_S) -> int:
        """Send without reading until nothing more is taken for `patience` s; how much was."""
        sent = 0
        while sent < len(data) and self.poll(patience, read=False)[1]:
            sent += self.send_some(memoryview(data)[sent:])
        return sent

    def poll(self, timeout: float, *, read: bool = True, write: bool = True) -> tuple[bool, bool]:
        """Whether reading and writing would not wait, after at most `timeout` seconds."""
        poll = select.poll()
        poll.register(self.sock, read * select.POLLIN | write * select.POLLOUT)
        events = dict(poll.poll(timeout * 1000)).get(self.sock.fileno(), 0)
        broken = bool(events & (select.POLLHUP | select.POLLERR))
        return (
            read and (broken or bool(events & select.POLLIN)),
            write and (broken or bool(events & select.POLLOUT)),
        )

    def wait_until_delivered(self) -> None:
        """Return when the server's kernel has all that was sent."""

        def unacknowledged() -> int:
            answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, struct.pack("i", 0))  # tcp(7)
            return int(struct.unpack("i", answer)[0])

        wait_until(lambda: unacknowledged() == 0, "everything sent is acknowledged")

    def is_over(self, timeout: float = 0) -> bool:
        """Whether the server has ended it, after at most `timeout` seconds; nothing else came."""
        if not self.poll(timeout, write=False)[0]:
            return False
        try:
            data = self.sock.recv(PIECE)
        except ConnectionResetError:
            return True
        assert not data, f"{data[:99]!r} came instead of the end"
        return True

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # Chat.

    def say(self, text: str) -> None:
        self.send(f"{text}\n".encode())

    def line(self) -> str | None:
        """The next line without its end, or None when there is none."""
        while b"\n" not in self._lines:
            data = self.sock.recv(PIECE)
            if not data:
                assert not self._lines, f"half a line: {bytes(self._lines)!r}"
                return None
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode()

    def lines_until(self, last: str) -> list[str]:
        """The lines before `last`, which must come."""
        lines: list[str] = []
        while (line := self.line()) != last:
            assert line is not None, f"the end came instead of {last!r}, after {lines[-9:]}"
            lines.append(line)
        return lines


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


# What a service manager does: sockets from descriptor 3 on, and the variables of sd_listen_fds(3).
ACTIVATE = """
import fcntl, os, sys
passed, *command = sys.argv[1:]
for place, fd in enumerate([fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in passed.split()]):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(passed.split()))
os.execvp(command[0], command)
"""


class Serve:
    """Starts servers of one model with the public command."""

    def __init__(self, model: str, directory: Path, interpreter: str) -> None:
        self.model = model
        self._directory = directory
        self._interpreter = interpreter
        self._servers: list[Server] = []

    def _python(self, *arguments: str) -> list[str]:
        return [self._interpreter, "-W", "always", *arguments]

    def _command(
        self, service: str, *options: str, switch_interval: float | None = None
    ) -> list[str]:
        package, option = MODELS[self.model]
        start = ["-m", package]
        if switch_interval is not None:
            start = [
                "-c",
                f"import sys; sys.setswitchinterval({switch_interval});"
                f"from {package}.__main__ import main; main(sys.argv[1:])",
            ]
        return self._python(*start, "serve", service, option, self.model, *options)

    def __call__(self, service: str, *options: str, switch_interval: float | None = None) -> Server:
        command = self._command(service, *options, switch_interval=switch_interval)
        return self._start(command, addresses=max(1, options.count("--listen")))

    def script(self, code: str, *arguments: str, addresses: int = 1) -> Server:
        """A server that is a program of its own; it says READY for each of its addresses."""
        return self._start(self._python("-c", code, self.model, *arguments), addresses)

    def activate(
        self, service: str, *options: str, sockets: list[socket.socket], addresses: int, **env: str
    ) -> Server:
        """A server that is passed `sockets`, as systemd does it."""
        fds = [sock.fileno() for sock in sockets]
        command = self._activation(fds, service, *options)
        return self._start(command, addresses, pass_fds=fds, env=env)

    def _activation(self, fds: list[int], service: str, *options: str) -> list[str]:
        passed = " ".join(map(str, fds))
        return [self._interpreter, "-c", ACTIVATE, passed, *self._command(service, *options)]

    def _start(
        self,
        command: list[str],
        addresses: int,
        *,
        pass_fds: list[int] | None = None,
        env: dict[str, str] | None = None,
    ) -> Server:
        if setpriv := shutil.which("setpriv"):  # it must not outlive a killed test run
            command = [setpriv, "--pdeathsig", "KILL", *command]
        stderr = self._directory / f"stderr-{len(self._servers)}"
        with stderr.open("wb") as file:
            process = subprocess.Popen(
                command,
                bufsize=0,
                cwd=ROOT,
                env=self._environment(**env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                pass_fds=pass_fds or (),
                process_group=0,
            )
        server = Server(process, stderr)
        self._servers.append(server)
        server.wait_until_ready(addresses)
        return server

    def _environment(self, **more: str) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(ROOT)} | more

    def run(
        self,
        service: str,
        *options: str,
        sockets: list[socket.socket] | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Start a server that ends by itself, perhaps passed `sockets`."""
        fds = [sock.fileno() for sock in sockets or []]
        return subprocess.run(
            self._activation(fds, service, *options) if fds else self._command(service, *options),
            cwd=ROOT,
            env=self._environment(**env),
            pass_fds=fds,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def stop(self) -> None:
        with contextlib.ExitStack() as stack:
            for server in self._servers:
                stack.callback(server.stop)


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
