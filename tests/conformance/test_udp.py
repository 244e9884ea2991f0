"""UDP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import random
import socket
import struct

import pytest

LARGEST = 65507  # what fits into an IPv4 packet


def assert_answers(sock: socket.socket) -> None:
    sock.send(b"still there?")
    assert sock.recv(100) == b"still there?"


@pytest.mark.fault("udp/1")
@pytest.mark.parametrize("size", [0, 1, 1472, LARGEST])
def test_datagram_comes_back_whole(udp_echo, size):
    datagram = random.Random(7).randbytes(size)
    client = udp_echo.udp()
    client.send(datagram)
    assert client.recv(2 * LARGEST) == datagram
    assert_answers(client)


@pytest.mark.fault("udp/1")
def test_datagrams_keep_their_boundaries(udp_echo):
    client = udp_echo.udp()
    datagrams = [b"%d" % size * size for size in range(50)]
    with udp_echo.paused():  # so all are there when it looks
        for datagram in datagrams:
            client.send(datagram)
    echoes = [client.recv(2 * LARGEST) for _ in datagrams]
    assert sorted(echoes) == sorted(datagrams)  # UDP promises no order


@pytest.mark.fault("udp/2")
def test_datagram_from_port_0_is_survived(udp_echo):
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("a source port of 0 takes a raw socket, which takes CAP_NET_RAW")
    payload = b"nobody can answer this"
    host, port = udp_echo.address
    header = struct.pack("!4H", 0, port, 8 + len(payload), 0)  # RFC 768; no checksum
    with raw:
        for _ in range(10):
            raw.sendto(header + payload, (host, 0))
    assert_answers(udp_echo.udp())


@pytest.mark.fault("udp/6")
def test_reply_that_is_refused_harms_nobody(udp_echo):
    client = udp_echo.udp()
    assert_answers(client)
    with udp_echo.paused():  # so the sender is gone when its datagram is read
        for _ in range(20):
            gone = udp_echo.udp()
            gone.send(b"hello")
            gone.close()
    for _ in range(20):
        assert_answers(client)
