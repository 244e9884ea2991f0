"""docs/examples/dns_responder.py, asked what no resolver asks."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INTERNET, CHAOS = 1, 3
QUERY, UPDATE = 0, 5
BAD_FORMAT, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 1, 3, 4, 5
LONGEST = (b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61)

Ask = Callable[..., Any]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, memory_server: Callable[..., Any]) -> Ask:
    """How it answers over UDP: its status, how many records, all of it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import dns_responder

    server = memory_server(dns_responder.Dns(), framing=dns_responder.FRAMES)

    def ask(*labels: bytes, family: int = INTERNET, opcode: int = QUERY) -> tuple[int, int, bytes]:
        name = b"".join(bytes([len(each)]) + each for each in labels) + b"\0"
        header = struct.pack("!6H", 4711, opcode << 11, 1, 0, 0, 0)
        (said,) = server.datagram(header + name + struct.pack("!2H", 1, family))
        identity, flags, _, records, *_ = struct.unpack_from("!6H", said)
        assert (identity, flags >> 15, flags >> 11 & 15) == (4711, 1, opcode)
        return flags & 15, records, said

    return ask


def test_dns_name_has_up_to_255_bytes(ask: Ask) -> None:
    code, _, said = ask(*LONGEST)
    assert (code, len(said)) == (NO_SUCH_NAME, 12 + 255 + 4)
    for labels in ((*LONGEST[:3], b"d" * 62), (*LONGEST, b"e"), (b"a" * 63,) * 9):
        code, _, said = ask(*labels)
        assert (code, len(said)) == (BAD_FORMAT, 12)


def test_dns_answers_of_udp_have_no_more_bytes_than_was_agreed_on(ask: Ask) -> None:
    for count in range(1, 900):
        _, _, said = ask(*(b"a" * 63,) * (count % 30), *(b"b",) * count)
        assert len(said) <= 512


def test_dns_dot_within_a_label_ends_none(ask: Ask) -> None:
    assert ask(b"www", b"example", b"test")[:2] == (0, 1)
    for labels in ((b"www.example", b"test"), (b"www.example.test",), (b"www\\", b"example.test")):
        assert ask(*labels)[:2] == (NO_SUCH_NAME, 0)


def test_dns_class_that_is_not_the_internets_is_refused(ask: Ask) -> None:
    assert ask(b"www", b"example", b"test", family=CHAOS)[:2] == (REFUSED, 0)


def test_dns_operation_that_is_no_query_is_not_implemented(ask: Ask) -> None:
    assert ask(b"www", b"example", b"test", opcode=UPDATE)[:2] == (NOT_IMPLEMENTED, 0)
