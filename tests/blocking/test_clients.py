"""`python -m blocking send`, `receive` and `serve chat --talk`: with pipes, files and terminals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import over_ipv6
from terminal import Terminal

from aionet.sockets import set_reset_on_close

WAIT_S = 20

Start = Callable[..., "subprocess.Popen[bytes]"]
Ended = tuple[int, bytes, bytes]


def run(start: Start, *argv: str, typed: bytes = b"") -> Ended:
    """Its status, and what it wrote to both streams."""
    process = start("-m", "blocking", *argv)
    out, err = process.communicate(typed, timeout=WAIT_S)
    return process.returncode, out, err


@pytest.fixture
def serve(start: Start) -> Callable[..., str]:
    """Starts a server; its URL."""

    def serve(*argv: str) -> str:
        server = start("-m", "blocking", "serve", *argv)
        return server.stdout.readline().decode().strip().removeprefix("READY ")

    return serve


@pytest.fixture
def echo(serve: Callable[..., str]) -> str:
    return serve("echo", "--model", "threaded")


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(WAIT_S)
        yield sock


def url(sock: socket.socket, scheme: str = "tcp") -> str:
    return f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"


# TCP.


def test_what_is_typed_comes_back_and_the_end_ends_it(start: Start, echo: str) -> None:
    assert run(start, "send", echo, typed=b"hello\nthere") == (0, b"hello\nthere", b"")


def test_file_of_any_bytes_comes_back_whole_however_large(
    start: Start, echo: str, tmp_path: Path
) -> None:
    data = os.urandom(1 << 20) * 12  # more than the kernels of both sides hold
    (tmp_path / "file").write_bytes(data)
    status, out, err = run(start, "send", echo, str(tmp_path / "file"))
    assert (status, err, out == data) == (0, b"", True)


def test_line_is_sent_when_it_is_typed(start: Start, listener: socket.socket) -> None:
    process = start("-m", "blocking", "send", url(listener))
    conn, _ = listener.accept()
    with conn:
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            assert conn.recv(100) == line
            conn.sendall(b"got " + line)
            assert process.stdout.readline() == b"got " + line
        process.stdin.close()
        assert conn.recv(100) == b""
    assert process.wait(WAIT_S) == 0


def test_server_that_closes_before_all_was_sent_is_told(
    start: Start, listener: socket.socket
) -> None:
    process = start("-m", "blocking", "send", url(listener))
    conn, _ = listener.accept()
    conn.close()
    assert process.wait(WAIT_S) == 1
    assert process.stderr.read() == b"error: the server closed the connection before all was sent\n"


def test_reset_is_told(start: Start, listener: socket.socket) -> None:
    process = start("-m", "blocking", "send", url(listener))
    conn, _ = listener.accept()
    set_reset_on_close(conn)
    conn.close()
    assert process.wait(WAIT_S) == 1
    assert b"error: the connection is lost: " in process.stderr.read()


def test_server_that_never_closes_is_told(start: Start, listener: socket.socket) -> None:
    process = start("-m", "blocking", "send", url(listener), "--timeout", "0.2")
    process.stdin.close()
    conn, _ = listener.accept()
    with conn:
        assert process.wait(WAIT_S) == 1
    assert b"has not closed in 0.2 s" in process.stderr.read()


# UDP.


def test_each_line_is_a_datagram_and_answered(start: Start, serve: Callable[..., str]) -> None:
    address = serve("udp-echo", "--model", "epoll")
    assert run(start, "send", address, typed=b"one\ntwo") == (0, b"one\ntwo\n", b"")


@pytest.fixture
def socket_of_udp() -> socket.socket:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(WAIT_S)
        yield sock


def test_question_is_sent_again_until_it_is_answered(
    start: Start, socket_of_udp: socket.socket
) -> None:
    sock = socket_of_udp
    process = start("-m", "blocking", "send", url(sock, "udp"), "--timeout", "0.05")
    process.stdin.write(b"hello\n")
    assert {sock.recv(100) for _ in range(3)} == {b"hello"}
    data, sender = sock.recvfrom(100)
    sock.sendto(data.upper(), sender)
    assert process.stdout.readline() == b"HELLO\n"
    process.stdin.close()
    assert process.wait(WAIT_S) == 0


def test_what_was_lost_is_told_and_the_rest_is_sent(
    start: Start, socket_of_udp: socket.socket
) -> None:
    sock, options = socket_of_udp, ("--timeout", "0.05", "--retries", "1")
    process = start("-m", "blocking", "send", url(sock, "udp"), *options)

    def answer() -> None:
        while (said := sock.recvfrom(100))[0] != b"end":
            if said[0] != b"lost":
                sock.sendto(*said)

    thread = threading.Thread(target=answer)
    thread.start()
    out, err = process.communicate(b"lost\nfound\n", timeout=WAIT_S)
    sock.sendto(b"end", sock.getsockname())
    thread.join()
    assert (process.returncode, out) == (1, b"found\n")
    assert err == (
        b"no answer to 'lost': lost on the way there or back, 2 times\n"
        b"error: 1 of 2 were not answered\n"
    )


def test_late_answer_is_none_to_the_next_question(
    start: Start, socket_of_udp: socket.socket
) -> None:
    sock, options = socket_of_udp, ("--timeout", "0.1", "--retries", "0")
    process = start("-m", "blocking", "send", url(sock, "udp"), *options)
    process.stdin.write(b"slow\n")
    _, sender = sock.recvfrom(100)
    process.stdin.write(b"gone\n")
    sock.recvfrom(100)  # so the first one was given up
    sock.sendto(b"late", sender)
    process.stdin.write(b"next\n")
    while sock.recvfrom(100)[0] != b"next":
        pass
    sock.sendto(b"now", sender)
    process.stdin.close()
    assert process.stdout.read().endswith(b"now\n")
    assert process.wait(WAIT_S) == 1


def test_nobody_at_the_port_is_a_question_without_answer(
    start: Start, socket_of_udp: socket.socket
) -> None:
    address = url(socket_of_udp, "udp")
    socket_of_udp.close()
    status, out, err = run(start, "send", address, typed=b"x")
    assert (status, out) == (1, b"")
    assert b"no answer to 'x': nobody is at that port\n" in err


def test_broadcast_must_be_meant(start: Start) -> None:
    status, _, err = run(start, "send", "udp://127.255.255.255:7007", typed=b"x")
    assert (status, err) == (
        1,
        b"error: cannot send to udp://127.255.255.255:7007: that is a broadcast address; "
        b"--broadcast says that this is meant\n",
    )


def test_all_who_hear_a_broadcast_may_answer(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.255.255.255", 0))  # what is sent there, and nothing else
        sock.settimeout(WAIT_S)
        address = f"udp://127.255.255.255:{sock.getsockname()[1]}"
        process = start("-m", "blocking", "send", address, "--broadcast", "--timeout", "2")
        process.stdin.write(b"who is there?\n")
        data, sender = sock.recvfrom(100)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            for name in (b"I am", b"me, too"):
                other.sendto(name, sender)
            port = other.getsockname()[1]
        expected = [b"127.0.0.1 %d: %s\n" % (port, name) for name in (b"I am", b"me, too")]
        assert data == b"who is there?"
        assert [process.stdout.readline() for _ in expected] == expected
        process.stdin.close()
        assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", over_ipv6("[::1]"), "224.0.0.251"])
def test_receiver_shows_what_comes_to_its_port_or_group(start: Start, host: str) -> None:
    receiver = start("-m", "blocking", "receive", f"udp://{host}:0", "--count", "2")
    address = receiver.stdout.readline().decode().split()[1]
    options = ("--timeout", "0.01", "--retries", "0")
    run(start, "send", address, *options, typed=b"one\ntwo")
    lines = receiver.stdout.read().splitlines()
    assert [line.split(b": ")[-1] for line in lines] == [b"one", b"two"]
    assert receiver.wait(WAIT_S) == 0


def test_half_close_of_the_server_does_not_end_what_is_sent(
    start: Start, listener: socket.socket, tmp_path: Path
) -> None:
    data = os.urandom(1 << 20) * 12
    (tmp_path / "file").write_bytes(data)
    process = start("-m", "blocking", "send", url(listener), str(tmp_path / "file"))
    conn, _ = listener.accept()
    with conn, conn.makefile("rb") as heard:
        conn.sendall(b"that is all")
        conn.shutdown(socket.SHUT_WR)
        assert heard.read() == data
    assert (process.wait(WAIT_S), process.stdout.read()) == (0, b"that is all")


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_stream_that_is_closed_is_no_socket(start: Start, echo: str, closed: int) -> None:
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, sys.argv[1:])"
    client = (sys.executable, "-m", "blocking", "send", echo)
    process = start("-c", code, *client)
    process.communicate(b"hello", timeout=WAIT_S)
    assert process.returncode == 0


# What cannot be meant.


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("send", "tcp://127.0.0.1:1", "/none"), "error: cannot read '/none': No such file"),
        (("send", "tcp://127.0.0.1:1"), "error: cannot connect to tcp://127.0.0.1:1: "),
        (("send", "tcp://127.0.0.1:1", "/"), "error: cannot read '/': Is a directory"),
        (("receive", "udp://192.0.2.1:0"), "error: cannot receive at udp://192.0.2.1:0: Cannot"),
        (
            ("receive", "udp://224.0.0.251:0", "--interface", "none0"),
            "error: cannot receive at udp://224.0.0.251:0: there is no interface 'none0' here",
        ),
        (
            ("send", "udp://224.0.0.251:7007", "--interface", "none0"),
            "error: cannot send to udp://224.0.0.251:7007: there is no interface 'none0' here",
        ),
        over_ipv6(
            ("send", "udp://[ff02::1:7]:7007"), "error: ff02::1:7 is a group of IPv6, and loopback"
        ),
        over_ipv6(
            ("receive", "udp://[ff02::1:7]:0"), "error: ff02::1:7 is a group of IPv6, and loopback"
        ),
        (("serve", "echo", "--talk", "me"), "error: --talk is for serve chat --model epoll"),
        (("serve", "chat", "--talk", "me", "--model", "poll"), "error: --talk is for serve chat"),
        (("serve", "chat", "--talk", "x y", "--model", "epoll"), "error: 'x y' is not a name"),
    ],
)
def test_what_cannot_be_is_one_line(start: Start, argv: tuple[str, ...], told: str) -> None:
    status, out, err = run(start, *argv)
    assert (status, out, err.count(b"\n")) == (1, b"", 1)
    assert err.decode().startswith(told)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("send", "http://127.0.0.1:1"), "'http://127.0.0.1:1' has the scheme 'http'"),
        (("send", "unix:///x"), "unix:///x cannot be; use tcp://HOST:PORT or udp://"),
        (("send", "tcp://127.0.0.1:1", "--retries", "1"), "--interface are for udp://"),
        (("send", "tcp://127.0.0.1:1", "--echo"), "--interface are for udp://"),
        (("send", "udp://127.0.0.1:1", "--connect-timeout", "1"), "is for tcp://"),
        (("receive", "tcp://127.0.0.1:1"), "tcp://127.0.0.1:1 cannot be; use udp://"),
    ],
)
def test_option_that_cannot_be_meant_is_told(
    start: Start, argv: tuple[str, ...], told: str
) -> None:
    status, _, err = run(start, *argv)
    assert status == 2
    assert told in err.decode()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--timeout", "0"), "'0' is not a number of seconds above 0 and up to 86400"),
        (("--timeout", "nan"), "'nan' is not a number of seconds"),
        (("--retries", "-1"), "'-1' is not a number from 0 up"),
    ],
)
def test_what_is_no_number_is_told(start: Start, argv: tuple[str, ...], told: str) -> None:
    status, _, err = run(start, "send", "udp://127.0.0.1:1", "=".join(argv))
    assert status == 2
    assert told in err.decode()


# A server whose keyboard takes part.

TALK = ("-m", "blocking", "serve", "chat", "--model", "epoll", "--talk", "host")


def test_who_sits_at_the_server_takes_part_through_a_pipe(start: Start) -> None:
    server = start(*TALK)
    port = int(server.stdout.readline().rsplit(b":", 1)[1])
    assert server.stdout.readline() == b"* Welcome to the room. What is your name?\n"
    assert server.stdout.readline() == b"* The room contains: \n"
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as lines:
        lines.readline()
        sock.sendall(b"ann\n")
        assert lines.readline() == b"* The room contains: host\n"
        assert server.stdout.readline() == b"* ann has entered the room\n"
        sock.sendall(b"hello\n")
        assert server.stdout.readline() == b"[ann] hello\n"
        server.stdin.write(b"welcome\n")
        assert lines.readline() == b"[host] welcome\n"
        server.stdin.close()  # and the room goes on without
        assert lines.readline() == b"* host has left the room\n"
        server.send_signal(signal.SIGTERM)
        assert lines.read() == b""
    assert server.wait(WAIT_S) == 0
    assert server.stderr.read() == b""


def test_sigterm_ends_the_room_also_for_who_sits_there(start: Start) -> None:
    server = start(*TALK)
    for _ in range(3):
        server.stdout.readline()
    server.send_signal(signal.SIGTERM)
    assert server.wait(WAIT_S) == 0
    assert (server.stdout.read(), server.stderr.read()) == (b"", b"")


def test_who_sits_at_the_server_talks_from_a_terminal(start: Start) -> None:
    with Terminal(start, *TALK[1:]) as server:
        ready = server.wait_for(b"contains: ")
        port = int(re.search(rb"READY tcp://127.0.0.1:(\d+)", ready)[1])
        with Terminal(start, "blocking", "chat", f"127.0.0.1:{port}", "--name", "ann") as ann:
            server.wait_for(b"* ann has entered")
            server.type(b"hello\n")
            ann.wait_for(b"[host] hello")
            ann.type(b"good morning\n")
            server.wait_for(b"[ann] good morning")
            ann.type(b"\x04")
            server.wait_for(b"* ann has left")
        server.type(b"\x03")
        assert server.process.wait(WAIT_S) == 0


def test_file_is_no_keyboard(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"host\n")
    with (tmp_path / "file").open("rb") as file:
        server = start(*TALK, stdin=file)
        assert server.wait(WAIT_S) == 1
    assert server.stderr.read() == (
        b"error: --talk needs a terminal or a pipe: epoll cannot wait for a file (EPERM)\n"
    )
