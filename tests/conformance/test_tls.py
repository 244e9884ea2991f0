"""TLS: the same services, and what clients do to a handshake."""

from __future__ import annotations

import random
import select
import ssl
import time

import pytest
import trustme

KIB, MIB = 1024, 1024 * 1024
RANDOM = random.Random(7).randbytes(MIB)
LOOPS = ["asyncio", "uvloop"]
WITHOUT_STACKS = [*LOOPS, "select", "poll", "epoll", "epoll-et"]
MODELS = [*WITHOUT_STACKS, "threaded", "threadpool", "coroutines"]
HANDSHAKE_S = 1.0
WRITE_S = 0.4
DRAIN_S = 0.5
CLIENTS = 100


class Authority:
    """A certificate authority with a server's certificate, and clients that trust it."""

    def __init__(self, directory) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        chain, key = directory / "chain.pem", directory / "key.pem"
        for number, blob in enumerate(certificate.cert_chain_pems):
            blob.write_to_path(chain, append=number > 0)
        certificate.private_key_pem.write_to_path(key)
        self.options = ("--tls-cert", str(chain), "--tls-key", str(key))
        self._context = ssl.create_default_context()
        authority.configure_trust(self._context)

    def connect(self, server, **options):
        """A client of `server` whose handshake is done."""
        client = server.connect(**options)
        # Bytes without an end of their own would be a cut, and no end (RFC 8446, 6.1).
        client.sock = self._context.wrap_socket(
            client.sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        )
        server.close_with_the_others(client.sock)
        return client

    def start(self, server):
        """A client that has sent the beginning of its handshake, and what it sent."""
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            self._context.wrap_bio(ours, theirs, server_hostname="127.0.0.1").do_handshake()
        return server.connect(), theirs.read()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def echo(serve, tls):
    return serve("echo", *tls.options)


def exchange(client, data: bytes) -> bytes:
    """What comes back for `data`, at most as long: sent and received at the same time."""
    sock, unsent, received = client.sock, memoryview(data), bytearray()
    sock.setblocking(False)
    while len(received) < len(data):
        waits_for = select.POLLIN
        try:
            received += sock.recv(len(data) - len(received))
            continue
        except ssl.SSLWantReadError:
            pass
        if unsent:
            try:
                unsent = unsent[sock.send(unsent[: 64 * KIB]) :]
                continue
            except ssl.SSLWantWriteError:
                waits_for |= select.POLLOUT
        poll = select.poll()
        poll.register(sock, waits_for)
        assert poll.poll(20_000), f"stuck after {len(received)} of {len(data)} bytes"
    sock.settimeout(20)
    return bytes(received)


def is_server_hello(record: bytes) -> bool:
    """Whether `record` is of type handshake, with a message server_hello: RFC 8446, 5.1 and 4."""
    return record[0] == 22 and record[5] == 2


def assert_serving(server, tls: Authority) -> None:
    client = tls.connect(server)
    assert exchange(client, b"still there?") == b"still there?"
    client.close()


def send_until_stuck(client, data: bytes, *, patience: float) -> int:
    """Send without reading until nothing more is taken for `patience` s; how much was."""
    client.sock.settimeout(patience)
    sent = 0
    try:
        while sent < len(data):
            sent += client.sock.send(memoryview(data)[sent : sent + 16 * KIB])
    except TimeoutError:
        pass
    client.sock.settimeout(20)
    return sent


@pytest.mark.fault("life/3", models=MODELS)
def test_eight_mebibytes_come_back_unchanged(echo, tls):
    assert exchange(tls.connect(echo), RANDOM * 8) == RANDOM * 8


@pytest.mark.fault("life/3", models=MODELS)
def test_clients_without_a_handshake_are_gone_at_its_limit_and_others_are_served(serve, tls):
    echo = serve("echo", *tls.options, "--handshake-timeout", str(HANDSHAKE_S))
    start = time.monotonic()
    member = tls.connect(echo)
    silent, plaintext = echo.connect(), echo.connect()
    slow, hello = tls.start(echo)
    trickle = iter(hello)
    plaintext.send(b"GET / HTTP/1.1\r\n\r\n")
    waiting = {silent, plaintext, slow}
    while waiting:
        assert time.monotonic() - start < 20
        assert exchange(member, b"hello") == b"hello"
        assert_serving(echo, tls)
        if slow in waiting:
            slow.send_some(bytes([next(trickle)]))
        waiting -= {client for client in waiting if has_ended(client)}
    assert time.monotonic() - start > HANDSHAKE_S / 2


def has_ended(client) -> bool:
    """Whether the server has closed the connection, perhaps after a TLS alert."""
    if not client.poll(0.01, write=False)[0]:
        return False
    try:
        return not client.sock.recv(KIB)
    except ConnectionResetError:
        return True


@pytest.mark.fault("life/3", models=MODELS)
def test_handshake_that_comes_with_the_connection_is_answered(echo, tls):
    with echo.paused():
        early = [tls.start(echo) for _ in range(5)]
        for client, hello in early:
            client.send(hello)
    for client, _ in early:
        assert is_server_hello(client.receive(6))


@pytest.mark.fault("tcp/14", models=MODELS)
def test_client_past_the_cap_gets_its_handshake_when_one_leaves(serve, tls):
    echo = serve("echo", *tls.options, "--max-connections", "1", "--handshake-timeout", "10")
    served = tls.connect(echo)
    assert exchange(served, b"hello") == b"hello"
    waiting, hello = tls.start(echo)
    waiting.send(hello)
    assert not waiting.poll(0.1, write=False)[0]
    served.close()
    assert is_server_hello(waiting.receive(6))


@pytest.mark.fault("life/3", models=MODELS)
def test_members_of_a_chat_hear_each_other(serve, tls):
    chat = serve("chat", *tls.options)
    member, other = tls.connect(chat), tls.connect(chat)
    for client, name in ((member, "member"), (other, "other")):
        client.say(name)
        assert (client.line() or "").startswith("* ")
        assert (client.line() or "").startswith("* The room contains:")
    assert member.line() == "* other has entered the room"
    member.say("x" * 4096)
    assert other.line() == f"[member] {'x' * 4096}"
    member.say("x" * 4097)
    assert member.line() == "! line is over 4096 bytes"
    assert member.line() is None
    assert other.line() == "* member has left the room"


@pytest.mark.fault("life/3", models=MODELS)
def test_client_that_never_reads_is_not_listened_to_and_reset_at_the_write_limit(
    serve, tls, eventually
):
    echo = serve("echo", *tls.options, "--write-timeout", str(WRITE_S))
    assert exchange(tls.connect(echo), RANDOM) == RANDOM
    baseline = echo.resident_bytes()
    client = tls.connect(echo, receive_buffer=4 * KIB)

    def stall_and_read_on() -> None:
        assert send_until_stuck(client, RANDOM * 48, patience=0.1) < 48 * MIB
        assert echo.resident_bytes() - baseline < 8 * MIB
        eventually(lambda: echo.end_of(client) is None, "no socket is left, in no state")
        client.receive_rest()

    with pytest.raises((ConnectionError, ssl.SSLEOFError)):
        stall_and_read_on()
    assert echo.end_of(client) is None
    assert_serving(echo, tls)


@pytest.mark.fault("life/3", models=MODELS)
def test_silent_client_is_closed_at_the_idle_limit(serve, tls):
    echo = serve("echo", *tls.options, "--idle-timeout", "0.4")
    client = tls.connect(echo)
    exchange(client, b"all I had to say")
    assert client.receive_rest() == b""


def has_echoed_all(server, client) -> bool:
    """Whether the server has read all that was sent, and its kernel has what it answered."""
    end = server.end_of(client)
    assert end is not None
    return end.unread == 0 and server.has_echoed(client, 64 * KIB)


@pytest.mark.fault("life/2", models=MODELS)
def test_pending_bytes_are_delivered_over_tls_after_sigterm(serve, tls, eventually):
    echo = serve("echo", *tls.options)
    idle = tls.connect(echo)
    exchange(idle, b"hello")
    client = tls.connect(echo, receive_buffer=4 * KIB)
    client.send(RANDOM[: 64 * KIB])
    eventually(lambda: has_echoed_all(echo, client), "all is on its way back")
    echo.terminate()
    assert client.receive_rest() == RANDOM[: 64 * KIB]
    assert idle.receive_rest() == b""
    for each in (client, idle):
        each.close()
    start = time.monotonic()
    assert echo.wait() == 0
    assert time.monotonic() - start < 1


@pytest.mark.fault("life/2", models=MODELS)
def test_stalled_client_is_reset_over_tls_at_the_drain_limit(serve, tls):
    echo = serve("echo", *tls.options, "--drain-timeout", str(DRAIN_S))
    stalled, silent = tls.connect(echo, receive_buffer=4 * KIB), echo.connect()
    assert send_until_stuck(stalled, RANDOM * 48, patience=0.1) < 48 * MIB
    start = time.monotonic()
    echo.terminate()
    assert echo.wait() == 0
    assert time.monotonic() - start < DRAIN_S + 1
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        stalled.receive_rest()
    assert has_ended(silent)


@pytest.mark.fault("life/3", models=WITHOUT_STACKS)
@pytest.mark.parametrize("said", [b"hello", RANDOM])
def test_idle_client_costs_at_most_60_kib_whatever_it_said_before(serve, tls, said):
    echo = serve("echo", *tls.options)
    for client in [tls.connect(echo) for _ in range(20)]:  # what is paid once
        assert exchange(client, said) == said
    baseline = echo.resident_bytes()
    for _ in range(CLIENTS):
        assert exchange(tls.connect(echo), said) == said
    assert (echo.resident_bytes() - baseline) / CLIENTS <= 60 * KIB


@pytest.mark.fault("life/3", models=MODELS)
def test_certificate_that_cannot_be_used_is_said_in_one_line(serve, tls, tmp_path):
    nothing = tmp_path / "nothing.pem"
    attempt = serve.run("echo", "--tls-cert", str(nothing))
    assert (attempt.returncode, attempt.stdout) == (1, "")
    (line,) = attempt.stderr.splitlines()
    assert str(nothing) in line
