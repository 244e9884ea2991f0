"""The driver over TLS, against servers on the sockets of Python that do one thing wrong."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from compare.contract.outcome import Outcome
from compare.contract.spec import TLS
from compare.host.certificate import Certificate, make, why_not

PATIENCE_S = 20.0
DriveAll = Callable[..., list[Outcome]]

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(why_not() is not None, reason="no openssl"),
]


class Place(NamedTuple):
    """Where a server of this process listens; its costs are nobody's affair."""

    host: str
    port: int
    pid: None = None


Behaviour = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return make()


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[Place]:
    """A thread for each connection, which does with it as it should, or does not."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):  # it is closed
                while True:
                    sock, _ = listener.accept()
                    sock.settimeout(PATIENCE_S)
                    threading.Thread(target=one, args=(sock,), daemon=True).start()

        def one(sock: socket.socket) -> None:
            with contextlib.suppress(OSError), sock:
                behave(sock)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield Place(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def context_of(certificate: Certificate, *, tickets: bool = True) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path)
    if not tickets:
        context.num_tickets = 0
    return context


def echo(context: ssl.SSLContext, change: Callable[[bytes], bytes] = bytes) -> Behaviour:
    def behave(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            while data := tls.recv(65536):
                tls.sendall(change(data))

    return behave


@pytest.fixture
def drive_tls(drive_all: DriveAll, certificate: Certificate) -> Callable[..., Outcome]:
    def drive(behave: Behaviour, workload: str, *, resumed: bool = False, **more: Any) -> Outcome:
        tls = TLS(certificate.pem, resumed=resumed)
        with serving(behave) as place:
            (outcome,) = drive_all([place], workload, **{"slices": 3, "tls": tls} | more)
        return outcome

    return drive


DriveTLS = Callable[..., Outcome]


def answered(outcome: Outcome) -> int:
    """In whole turns: on a busy machine the windows within may be too short for any."""
    return sum(each.turn_operations for each in outcome.slices)


@pytest.mark.parametrize("rate", [None, 200.0])
@pytest.mark.parametrize("workload", ["tcp-long", "tcp-short"])
def test_every_byte_comes_back_over_tls(
    drive_tls: DriveTLS, certificate: Certificate, workload: str, rate: float | None
) -> None:
    paced = {"rates": [rate], "slice_s": 0.1} if rate else {}
    outcome = drive_tls(echo(context_of(certificate)), workload, **paced)
    done = outcome.handshakes
    assert outcome.errors == {}
    assert answered(outcome) > 0
    assert outcome.counts.served == outcome.counts.attempted
    assert done is not None
    assert (done.version, done.library) == ("TLSv1.3", ssl.OPENSSL_VERSION)
    assert done.cipher in {each["name"] for each in context_of(certificate).get_ciphers()}
    assert (done.full, done.resumed) == (outcome.counts.attempted, 0)


def test_message_of_many_records_comes_back(drive_tls: DriveTLS, certificate: Certificate) -> None:
    outcome = drive_tls(echo(context_of(certificate)), "tcp-long", size=1_000_000, connections=2)
    assert outcome.errors == {}
    assert answered(outcome) > 0


def test_sessions_are_resumed_where_that_is_asked_for(
    drive_tls: DriveTLS, certificate: Certificate
) -> None:
    outcome = drive_tls(echo(context_of(certificate)), "tcp-short", resumed=True, connections=2)
    done = outcome.handshakes
    assert outcome.errors == {}
    assert done is not None
    assert done.full == 2  # the first of each
    assert done.resumed == outcome.counts.attempted - 2 > 0


def test_server_without_sessions_makes_full_handshakes(
    drive_tls: DriveTLS, certificate: Certificate
) -> None:
    behave = echo(context_of(certificate, tickets=False))
    outcome = drive_tls(behave, "tcp-short", resumed=True)
    done = outcome.handshakes
    assert outcome.errors == {}
    assert done is not None
    assert (done.full, done.resumed) == (outcome.counts.attempted, 0)


@pytest.mark.parametrize("workload", ["tcp-long", "tcp-short"])
def test_wrong_byte_is_found_behind_the_encryption(
    drive_tls: DriveTLS, certificate: Certificate, workload: str
) -> None:
    behave = echo(context_of(certificate), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    outcome = drive_tls(behave, workload)
    assert outcome.errors["wrong_bytes"] >= 4
    assert outcome.counts.served == 0
    assert "sent 100 bytes, got 100; at byte 99" in outcome.details[0]


def test_another_certificate_is_refused(drive_tls: DriveTLS) -> None:
    outcome = drive_tls(echo(context_of(make())), "tcp-long")
    assert outcome.errors == {"EPROTO": 4}
    assert outcome.details == ["TLS: CERTIFICATE_VERIFY_FAILED"] * 3
    assert outcome.counts.served == 0


def test_server_that_speaks_no_tls_is_said_to(drive_tls: DriveTLS) -> None:
    def behave(sock: socket.socket) -> None:
        sock.sendall(sock.recv(65536)[:1] + b"no TLS here")
        sock.recv(1)

    outcome = drive_tls(behave, "tcp-long")
    assert outcome.errors == {"EPROTO": 4}
    assert outcome.details[0].startswith("TLS: ")


def test_end_within_the_handshake_is_counted(drive_tls: DriveTLS) -> None:
    outcome = drive_tls(lambda sock: sock.recv(65536) and None, "tcp-long")
    assert outcome.errors == {"eof": 4}
    assert outcome.counts.served == 0


def test_handshakes_that_nobody_answers_starve(
    drive_tls: DriveTLS, certificate: Certificate
) -> None:
    """As with a server of one client at a time: the others are connected and wait."""
    context, first = context_of(certificate), threading.Lock()
    over = threading.Event()

    def behave(sock: socket.socket) -> None:
        if first.acquire(blocking=False):
            echo(context)(sock)
            over.set()
        else:
            over.wait(PATIENCE_S)

    outcome = drive_tls(behave, "tcp-long")
    assert outcome.errors == {}
    assert (outcome.counts.served, outcome.counts.starved) == (1, 3)
    assert answered(outcome) > 0


def test_close_notify_of_a_server_that_closes_first_is_answered(
    drive_tls: DriveTLS, certificate: Certificate
) -> None:
    context, answered = context_of(certificate), []

    def behave(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(tls.recv(65536))
            with tls.unwrap():  # raises OSError where ours does not come
                answered.append(tls)

    outcome = drive_tls(behave, "tcp-short", close="server", slices=2)
    assert outcome.errors == {}
    assert len(answered) == outcome.counts.served == outcome.counts.attempted > 0


def test_client_that_closes_first_says_so(drive_tls: DriveTLS, certificate: Certificate) -> None:
    context, ends = context_of(certificate), []

    def behave(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) as tls:
            tls.sendall(tls.recv(65536))
            ends.append(tls.recv(65536))  # an end without a close_notify raises

    outcome = drive_tls(behave, "tcp-short")
    assert outcome.errors == {}
    assert ends == [b""] * outcome.counts.served
