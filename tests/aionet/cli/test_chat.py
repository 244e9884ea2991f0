"""`python -m aionet chat` and `python -m blocking chat`: the same promises, by two clients."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable, Iterator

import pytest
from terminal import Terminal

from aionet.cli.chat_client import LEAVE_TIMEOUT_S
from aionet.sockets import set_reset_on_close

CLIENTS = ("aionet", "blocking")
WAIT_S = 20  # for what happens at once, on a busy machine

Start = Callable[..., "subprocess.Popen[bytes]"]


class Conversation:
    """A client with pipes for its three streams, and the server's end of its connection."""

    def __init__(self, client: subprocess.Popen[bytes], conn: socket.socket) -> None:
        self.client = client
        self.conn = conn

    def say(self, data: bytes) -> None:
        """Send `data` as the server."""
        self.conn.sendall(data)

    def type(self, data: bytes) -> None:
        self.client.stdin.write(data)

    def wait_for(self, data: bytes) -> None:
        """Wait for the next bytes that the server is sent, which are `data`."""
        assert self.conn.recv(len(data), socket.MSG_WAITALL) == data

    def wait_for_end(self) -> bytes:
        """What else the server is sent, up to the end."""
        return b"".join(iter(lambda: self.conn.recv(1 << 16), b""))

    def end(self) -> tuple[int, bytes, bytes]:
        """Wait for the client's end: its status, and what else it wrote to both streams."""
        out, err = self.client.stdout.read(), self.client.stderr.read()
        return self.client.wait(WAIT_S), out, err


@pytest.fixture(params=CLIENTS)
def package(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(WAIT_S)
        yield sock


@pytest.fixture
def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def join(
    start: Start, package: str, listener: socket.socket, address: str
) -> Iterator[Callable[..., Conversation]]:
    """Starts a client called ann; returns once she has said her name to the server."""
    with contextlib.ExitStack() as stack:

        def join(**options: object) -> Conversation:
            client = start("-m", package, "chat", address, "--name", "ann", **options)
            conn = stack.enter_context(listener.accept()[0])
            conversation = Conversation(client, conn)
            conversation.wait_for(b"ann\n")
            return conversation

        yield join


@pytest.fixture
def room(start: Start) -> str:
    """The address of a real chat."""
    server = start("-m", "aionet", "serve", "chat")
    return server.stdout.readline().decode().strip().removeprefix("READY tcp://")


# Listening and talking.


def test_what_the_server_sends_is_shown_as_it_comes(join: Callable[..., Conversation]) -> None:
    ann = join()
    ann.say(b"no line end")
    assert ann.client.stdout.read(100) == b"no line end"
    ann.say(b" yet\n")
    assert ann.client.stdout.read(100) == b" yet\n"


def test_a_line_is_sent_as_soon_as_it_is_typed(join: Callable[..., Conversation]) -> None:
    ann = join()
    ann.type(b"hello\n")
    ann.wait_for(b"hello\n")
    ann.type(b"again\n")
    ann.wait_for(b"again\n")


def test_a_pipe_is_given_every_byte_unchanged(join: Callable[..., Conversation]) -> None:
    ann = join()
    said = bytes(range(256)) * 1000
    ann.client.stdin.close()
    assert ann.wait_for_end() == b""
    ann.say(said)
    ann.conn.close()
    assert ann.end() == (0, said, b"")


def test_two_people_talk_from_their_terminals(start: Start, package: str, room: str) -> None:
    other = "blocking" if package == "aionet" else "aionet"
    with Terminal(start, package, "chat", room, "--name", "ann") as ann:
        ann.wait_for(b"* The room contains: \r\n")
        with Terminal(start, other, "chat", room, "--name", "bob") as bob:
            bob.wait_for(b"* The room contains: ann\r\n")
            ann.wait_for(b"* bob has entered the room\r\n")
            ann.type("Grüße\n".encode())
            bob.wait_for("[ann] Grüße\r\n".encode())
            bob.type(b"hello\n")
            ann.wait_for(b"[bob] hello\r\n")
            bob.type(b"\x04")
            ann.wait_for(b"* bob has left the room\r\n")
            assert bob.process.wait(WAIT_S) == 0
        ann.type(b"\x03")
        assert ann.process.wait(WAIT_S) == 130


def test_a_terminal_is_shown_no_control_characters(
    start: Start, package: str, listener: socket.socket, address: str
) -> None:
    with Terminal(start, package, "chat", address, "--name", "ann") as ann:
        conn, _ = listener.accept()
        with conn:
            conn.sendall("\x1b]0;title\x07 tab\tand € \x9b31mred\r\n".encode())
            assert ann.wait_for(b"red\r\n") == "]0;title tab\tand € 31mred\r\n".encode()


def test_a_terminal_is_left_as_it_was_found(
    start: Start, package: str, listener: socket.socket, address: str
) -> None:
    with Terminal(start, package, "chat", address, "--name", "ann") as ann:
        before = termios.tcgetattr(ann.inside)
        conn, _ = listener.accept()
        with conn:
            ann.type(b"hello\n")
            assert conn.recv(10, socket.MSG_WAITALL) == b"ann\nhello\n"
            assert os.get_blocking(ann.inside)  # the description is shared with the client's
        ann.wait_for(b"closed the connection\r\n")
        assert ann.process.wait(WAIT_S) == 1
        assert os.get_blocking(ann.inside)
        assert termios.tcgetattr(ann.inside) == before


# Leaving.


@pytest.mark.parametrize("text", [b"", b"one\ntwo\n", b"line\n" * 100_000])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_the_end_of_stdin_half_closes_and_what_follows_is_shown(
    join: Callable[..., Conversation], kind: str, text: bytes
) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.seek(0)
        ann = join(stdin=file) if kind == "file" else join()
        if kind == "pipe":
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=ann.client.stdin)
            ann.client.stdin.close()
            received = ann.wait_for_end()
            assert feeder.wait(WAIT_S) == 0
        else:
            received = ann.wait_for_end()
    assert received == text
    ann.say(b"good bye\n")
    ann.conn.close()
    assert ann.end() == (0, b"good bye\n", b"")


def test_without_stdin_the_client_says_its_name_and_leaves(
    join: Callable[..., Conversation],
) -> None:
    ann = join(stdin=subprocess.DEVNULL)
    assert ann.wait_for_end() == b""
    ann.conn.close()
    assert ann.end() == (0, b"", b"")


def test_an_unfinished_last_line_is_sent_as_a_line(join: Callable[..., Conversation]) -> None:
    ann = join()
    ann.type(b"hello")
    ann.client.stdin.close()
    assert ann.wait_for_end() == b"hello\n"


def test_a_server_that_never_closes_is_left_after_a_moment(
    start: Start, listener: socket.socket, address: str
) -> None:
    began = time.monotonic()
    clients = [
        start("-m", each, "chat", address, "--name", "ann", stdin=subprocess.DEVNULL)
        for each in CLIENTS
    ]
    with listener.accept()[0] as one, listener.accept()[0] as other:
        one.sendall(b"not going\n")
        other.sendall(b"not going\n")
        for client in clients:
            assert client.communicate(timeout=WAIT_S) == (b"not going\n", b"")
            assert client.returncode == 0
    assert time.monotonic() - began >= LEAVE_TIMEOUT_S


def test_ctrl_c_leaves_without_a_word(join: Callable[..., Conversation]) -> None:
    ann = join()
    ann.client.send_signal(signal.SIGINT)
    assert ann.end() == (130, b"", b"")
    assert ann.wait_for_end() == b""


# When the server ends it.


def test_a_server_that_closes_is_reported_at_once(join: Callable[..., Conversation]) -> None:
    ann = join()  # whose stdin stays open, and silent
    ann.say(b"last words\n")
    ann.conn.close()
    assert ann.end() == (1, b"last words\n", b"error: the server closed the connection\n")


def test_a_server_that_resets_is_reported_at_once(join: Callable[..., Conversation]) -> None:
    ann = join()
    set_reset_on_close(ann.conn)
    ann.conn.close()
    status, out, err = ann.end()
    assert (status, out) == (1, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith("error: the connection is lost: ")
    assert "reset by peer" in line


def test_last_words_are_shown_however_much_is_still_to_be_said(
    join: Callable[..., Conversation],
) -> None:
    with open("/dev/zero", "rb") as endless:
        ann = join(stdin=endless)
        ann.say(b"! enough\n")
        ann.conn.shutdown(socket.SHUT_WR)
        assert ann.end() == (1, b"! enough\n", b"error: the server closed the connection\n")


def test_a_reset_in_the_middle_of_talking_is_one_line(join: Callable[..., Conversation]) -> None:
    with open("/dev/zero", "rb") as endless:
        ann = join(stdin=endless)
        ann.conn.close()  # with unread input, which makes it a reset
        status, out, err = ann.end()
    assert (status, out) == (1, b"")
    (line,) = err.splitlines()
    assert line.startswith(b"error: the ")


def test_a_refusal_is_shown_and_is_a_failure(
    start: Start, package: str, room: str, join: Callable[..., Conversation]
) -> None:
    with Terminal(start, package, "chat", room, "--name", "ann") as ann:
        ann.wait_for(b"* The room contains: \r\n")
        other = start("-m", package, "chat", room, "--name", "ann", stdin=subprocess.DEVNULL)
        out, err = other.communicate(timeout=WAIT_S)
    assert out.splitlines()[-1] == b"! the name ann is in use; choose another"
    assert err == b"error: the server closed the connection\n"
    assert other.returncode == 1


# What goes wrong before.


@pytest.mark.parametrize(
    ("host", "name", "reason"),
    [
        ("127.0.0.1", "ann", "cannot connect to tcp://127.0.0.1:"),
        ("no-such-host.invalid", "ann", "cannot connect to tcp://no-such-host.invalid:"),
        ("a" * 64, "ann", "cannot connect to tcp://aaaa"),
        ("127.0.0.1", "", "'' is not a name"),
        ("127.0.0.1", "two words", "'two words' is not a name"),
        ("127.0.0.1", "ann\nI am bob", "is not a name"),
    ],
)
def test_what_cannot_begin_is_one_line_and_exit_1(
    start: Start, package: str, listener: socket.socket, host: str, name: str, reason: str
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    client = start("-m", package, "chat", f"{host}:{port}", "--name", name)
    out, err = client.communicate(timeout=WAIT_S)
    assert (client.returncode, out) == (1, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith("error: ")
    assert reason in line


def test_output_that_cannot_be_written_is_one_line_and_exit_1(
    join: Callable[..., Conversation],
) -> None:
    with open("/dev/full", "wb") as full:
        ann = join(stdout=full)
        ann.say(b"hello\n")
        assert ann.client.wait(WAIT_S) == 1
    assert ann.client.stderr.read() == b"error: cannot write to stdout: No space left on device\n"


# Back-pressure.


def test_while_the_server_does_not_read_nothing_more_is_read_from_stdin(
    join: Callable[..., Conversation],
) -> None:
    size = 256 << 20
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        ann = join(stdin=file)
        # The offset is shared with the client. Each answer shows that it had its turn.
        read, unchanged = 0, 0
        while unchanged < 20:
            ann.say(b"still there?\n")
            assert ann.client.stdout.read(13) == b"still there?\n"
            last, read = read, os.lseek(file.fileno(), 0, os.SEEK_CUR)
            unchanged = unchanged + 1 if read == last else 0
        assert 0 < read < size // 4
        assert ann.client.poll() is None
