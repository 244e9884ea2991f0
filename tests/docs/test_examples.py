"""docs/examples/: each program is run, and asked by clients that are not ours."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
DEADLINE_S = 20.0
LINES = 80

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def port() -> int:
    """A port of a range from which the kernel gives none for port 0, so none is lost to a race."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as tcp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    """Runs an example until it can be connected to; it has to end by itself when it is told to."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, str(EXAMPLES / name), *arguments]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            stack.callback(stop, process)
            deadline = time.monotonic() + DEADLINE_S
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    connect(port).close()
                    return process
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)

        yield start


def stop(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), DEADLINE_S)


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def receive_rest(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_is_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= LINES


@pytest.mark.parametrize("name", sorted(each.name for each in (EXAMPLES / "plain").glob("*.py")))
def test_the_same_in_plain_asyncio_runs(start: Start, port: int, name: str, tmp_path: Path) -> None:
    more = {
        "proxy.py": ["127.0.0.1", "9"],
        "tls_echo.py": [*certificates(tmp_path)[1]],
    }
    process = start(f"plain/{name}", "127.0.0.1", str(port), *more.get(name, []))
    assert process.stdout is not None
    process.stdout.close()
    process.kill()  # it has no way to end that is not a traceback
    assert process.wait() == -signal.SIGKILL
    process.returncode = 0


def certificates(folder: Path) -> tuple[trustme.CA, list[str]]:
    """An authority, and the files of a server: its certificate, its key, and that."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued = ca.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return ca, [str(folder / name) for name in ("cert.pem", "key.pem", "ca.pem")]


# Redis.


def test_redis_clients_own_commands(start: Start, port: int) -> None:
    redis = pytest.importorskip("redis")
    start("redis_subset.py", f"tcp://127.0.0.1:{port}")
    with redis.Redis(port=port, socket_timeout=DEADLINE_S, protocol=2) as client:
        assert client.ping()
        assert client.echo("hello") == b"hello"
        assert client.get("a") is None
        assert client.set("a", b"\0\r\n$5")
        assert client.get("a") == b"\0\r\n$5"
        assert client.incr("n") == 1
        assert client.incr("n") == 2
        assert client.delete("a", "n", "none") == 2
        client.set("word", "text")
        with pytest.raises(redis.ResponseError):
            client.incr("word")
        with pytest.raises(redis.ResponseError, match="no such command"):
            client.lpush("list", 1)
        with client.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set(f"k{number}", number)
            assert pipe.execute() == [True] * 1000
        assert client.set("big", bytes(500_000))
        assert client.get("big") == bytes(500_000)


def test_redis_requests_that_are_none_end_the_connection(start: Start, port: int) -> None:
    start("redis_subset.py", f"tcp://127.0.0.1:{port}")
    for request in (b"\x16\x03\x01\r\n", b"*1\r\n$-1\r\n", b"*99999999\r\n", b"*1\r\n:1\r\n"):
        with connect(port) as sock:
            sock.sendall(request)
            assert receive_rest(sock).startswith(b"-ERR Protocol error")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="there is no redis-benchmark")
def test_redis_benchmark_runs_to_its_end(start: Start, port: int) -> None:
    start("redis_subset.py", f"tcp://127.0.0.1:{port}")
    command = f"redis-benchmark -p {port} -t ping,set,get,incr -P 16 -n 20000 -q"
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("requests per second") == 5  # ping is asked in two ways


# RPC.


class Rpc:
    def __init__(self, port: int) -> None:
        self.sock = connect(port)

    def call(self, **request: Any) -> Any:
        data = json.dumps(request).encode()
        self.sock.sendall(struct.pack("!I", len(data)) + data)

    def next(self, *, pushes: bool = False) -> Any:
        while True:
            (size,) = struct.unpack("!I", receive(self.sock, 4))
            message = json.loads(receive(self.sock, size))
            if pushes is ("push" in message):
                return message

    def ask(self, method: str, *args: Any) -> Any:
        self.call(id=1, method=method, args=args)
        return self.next()


def test_rpc_calls_answers_errors_and_pushes(start: Start, port: int) -> None:
    start("rpc.py", f"tcp://127.0.0.1:{port}")
    one, two = Rpc(port), Rpc(port)
    with one.sock, two.sock:
        assert one.ask("add", 1, 2) == {"id": 1, "result": 3}
        assert one.ask("who") == {"id": 1, "result": "127.0.0.1"}
        assert "no attribute" in one.ask("nothing")["error"]
        assert "TypeError" in one.ask("add", "text")["error"]
        one.call(id=8, method="wait", args=[0.2])
        one.call(id=9, method="add", args=[1])
        assert [one.next()["id"], one.next()["id"]] == [9, 8]  # none waits for another
        pushes = [each.next(pushes=True) for each in (one, two)]
        assert pushes[0] == pushes[1] == {"push": "tick", "count": pushes[0]["count"]}


def test_rpc_messages_that_are_none_are_answered_and_too_long_ones_end_it(
    start: Start, port: int
) -> None:
    start("rpc.py", f"tcp://127.0.0.1:{port}")
    one = Rpc(port)
    with one.sock:
        one.sock.sendall(struct.pack("!I", 3) + b"{{{")
        assert "JSONDecodeError" in one.next()["error"]
        one.sock.sendall(struct.pack("!I", 3) + b"[1]")
        assert one.next()["error"]
        one.sock.sendall(b"\xff\xff\xff\xff")
        one.sock.shutdown(socket.SHUT_WR)
        receive_rest(one.sock)


# DNS.


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    header = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!2H", kind, 1)


def test_dns_answers_over_udp_and_tcp(start: Start, port: int) -> None:
    start("dns_responder.py", f"tcp+udp://127.0.0.1:{port}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(("127.0.0.1", port))

        def ask(message: bytes) -> bytes:
            sock.send(message)
            return sock.recv(65536)

        assert ask(query("WWW.example.test"))[-4:] == bytes((192, 0, 2, 1))
        assert ask(query("www.example.test", 28))[-1] == 1
        assert ask(query("no.example.test"))[3] & 15 == 3
        assert ask(query("www.example.test", 15))[3] & 15 == 0
        assert ask(query("www.example.test")[:-3])[3] & 15 == 1
        truncated = ask(query("many.example.test"))
        assert truncated[2] & 2
        for nothing in (b"", b"short", struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0)):
            sock.send(nothing)
        assert ask(query("www.example.test"))[:2] == struct.pack("!H", 4711)
    with connect(port) as sock:
        message = query("many.example.test")
        sock.sendall((struct.pack("!H", len(message)) + message) * 2)
        for _ in range(2):
            (size,) = struct.unpack("!H", receive(sock, 2))
            answer = receive(sock, size)
            assert struct.unpack_from("!H", answer, 6) == (200,)


@pytest.mark.skipif(shutil.which("dig") is None, reason="there is no dig")
def test_dig_understands_it(start: Start, port: int) -> None:
    start("dns_responder.py", f"tcp+udp://127.0.0.1:{port}")
    for options, name, count in (("", "www", 1), ("+tcp", "www", 1), ("", "many", 200)):
        command = f"dig @127.0.0.1 -p {port} {options} +short {name}.example.test A"
        done = subprocess.run(command.split(), capture_output=True, text=True, timeout=20)
        assert len(done.stdout.split()) == count, done


# A proxy.


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def both(port: int, upstream: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of what goes through the proxy."""
    client = connect(port)
    server, _ = upstream.accept()
    server.settimeout(DEADLINE_S)
    return client, server


@pytest.fixture
def proxy(start: Start, port: int, upstream: socket.socket) -> None:
    start("proxy.py", f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{upstream.getsockname()[1]}")
    upstream.accept()[0].close()  # of who looked whether it was there


@pytest.mark.usefixtures("proxy")
def test_proxy_half_closes_both_ways(port: int, upstream: socket.socket) -> None:
    client, server = both(port, upstream)
    with client, server:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert receive_rest(server) == b"request"
        server.sendall(b"answer")
        server.close()
        assert receive_rest(client) == b"answer"
    client, server = both(port, upstream)
    with client, server:
        server.sendall(b"all")
        server.shutdown(socket.SHUT_WR)
        assert receive_rest(client) == b"all"
        client.sendall(bytes(100_000))
        client.close()
        assert receive_rest(server) == bytes(100_000)


@pytest.mark.usefixtures("proxy")
def test_proxy_hands_on_resets(port: int, upstream: socket.socket) -> None:
    for who in ("client", "server"):
        client, server = both(port, upstream)
        with client, server:
            first, other = (client, server) if who == "client" else (server, client)
            first.sendall(b"half an answer")
            assert receive(other, 14) == b"half an answer"
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            first.close()
            with pytest.raises(ConnectionResetError):
                other.recv(10)


@pytest.mark.usefixtures("proxy")
def test_proxy_keeps_little_of_what_nobody_reads(port: int, upstream: socket.socket) -> None:
    client, server = both(port, upstream)
    with client, server:
        client.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += client.send(bytes(1 << 16))
        # Of that the kernel has its buffers of two connections, on both sides.
        assert sent < 24 << 20
        client.shutdown(socket.SHUT_WR)
        assert len(receive_rest(server)) == sent


def test_proxy_without_an_upstream_resets(start: Start, port: int) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        start("proxy.py", f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{nobody.getsockname()[1]}")
        with connect(port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(10)


# TLS.


def test_tls_echo_knows_its_clients(start: Start, port: int, tmp_path: Path) -> None:
    ca, files = certificates(tmp_path)
    start("tls_echo.py", f"tcp://127.0.0.1:{port}", *files)
    context = ssl.create_default_context(cafile=files[2])
    ca.issue_cert("alice.example", common_name="alice").configure_cert(context)
    with context.wrap_socket(connect(port), server_hostname="localhost") as sock:
        assert receive(sock, 13) == b"hello, alice\n"
        sock.sendall(b"abc")
        assert receive(sock, 3) == b"abc"
    nobody = ssl.create_default_context(cafile=files[2])
    with (
        nobody.wrap_socket(connect(port), server_hostname="localhost") as sock,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        sock.recv(1)


# Metrics.


def test_prometheus_gets_the_counters_of_all_workers(start: Start, port: int) -> None:
    pytest.importorskip("prometheus_client")
    import urllib.request

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics = free.getsockname()[1]
    start("metrics_prometheus.py", f"tcp://127.0.0.1:{port}", str(metrics))
    with connect(port) as sock:
        sock.sendall(b"x" * 1000)
        receive(sock, 1000)
        deadline = time.monotonic() + DEADLINE_S
        said = ""
        while "aionet_open 1.0" not in said or 'direction="sent"} 1000.0' not in said:
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                said = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/").read().decode()
    assert 'aionet_closed_total{reason="eof"}' in said


def test_opentelemetry_exports_them(start: Start, port: int) -> None:
    pytest.importorskip("opentelemetry.sdk")
    process = start("metrics_opentelemetry.py", f"tcp://127.0.0.1:{port}")
    assert process.stdout is not None
    with connect(port):
        said = ""
        while "aionet.open" not in said or "aionet.closed" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
