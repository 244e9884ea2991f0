"""Settings that cannot be meant: one line at the call, which has their name and their value."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

import aionet
from aionet import Echo, Limits, Lines, Listen, Timeouts, connect, connect_datagram, run, serve
from aionet.testing import MemoryServer

ANY = "tcp://127.0.0.1:0"
UDP = "udp://127.0.0.1:0"
NOTHING = [{}, [], "x", "", True, False, 0, 5, -1, 1.5, float("nan"), object()]
KINDS = {"limits": "Limits", "timeouts": "Timeouts", "hooks": "Hooks"}
MAKERS: list[Callable[..., Any]] = [
    lambda **given: serve(Echo(), ANY, **given),
    lambda **given: run(Echo(), ANY, **given),
    lambda **given: MemoryServer(Echo(), **given),
]


def refused(why: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  looked at below
        call()
    assert str(error.value).startswith(why)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("value", NOTHING)
def test_settings_are_made_by_their_class(make: Any, name: str, value: Any) -> None:
    said = f"{name} is {value!r}; it must be made by aionet.{KINDS[name]}()"
    refused(said, lambda: make(**{name: value}))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["tls", "starttls"])
@pytest.mark.parametrize("value", NOTHING)
def test_tls_is_a_context(make: Any, name: str, value: Any) -> None:
    refused(f"{name} is {value!r}; it must be an ssl.SSLContext", lambda: make(**{name: value}))


@pytest.mark.parametrize("make", [*MAKERS, lambda **given: Listen(ANY, **given)])
@pytest.mark.parametrize("value", [*NOTHING, Lines])
def test_framing_is_one(make: Any, value: Any) -> None:
    said = f"framing is {value!r}; it must be such as LengthPrefixed(4)"
    refused(said, lambda: make(framing=value))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((MAKERS[0], name) for name in ("reuse_port", "cancel_on_close", "count_bytes")),
        *((MAKERS[1], name) for name in ("exclusive", "cancel_on_close", "count_bytes")),
    ],
)
@pytest.mark.parametrize("value", [None, 0, 1, "no", {}])
def test_a_flag_is_true_or_false(make: Any, name: str, value: Any) -> None:
    refused(f"{name} is {value!r}; it must be True or False", lambda: make(**{name: value}))


@pytest.mark.parametrize("value", [None, {}, "2", True, 1.5, 0, -1])
def test_workers_are_a_whole_number(value: Any) -> None:
    said = f"workers is {value!r}; it must be at least 1"
    refused(said, lambda: run(Echo(), ANY, workers=value))


@pytest.mark.parametrize("name", ["hang_timeout", "start_timeout"])
@pytest.mark.parametrize("value", [{}, "2", True, 0, -1, float("nan"), float("inf")])
def test_a_time_is_a_number_of_seconds(name: str, value: Any) -> None:
    said = f"{name} is {value!r}; it must be above 0 and up to 86400 seconds"
    refused(said, lambda: run(Echo(), ANY, **{name: value}))


@pytest.mark.parametrize("name", ["on_ready", "on_stats"])
@pytest.mark.parametrize("value", [{}, "x", False])
def test_what_is_called_can_be_called(name: str, value: Any) -> None:
    said = f"{name} is {value!r}; it must be a function, or None"
    refused(said, lambda: run(Echo(), ANY, **{name: value}))
    refused(f"on_open is {value!r}; ", lambda: aionet.Hooks(on_open=value))


@pytest.mark.parametrize("value", [None, {}, "4", True, 1.5, float("nan"), 0, -1, 2**31])
def test_backlog_is_a_whole_number(value: Any) -> None:
    said = f"backlog is {value!r}; it must be 1 to 2147483647"
    refused(said, lambda: Listen(ANY, backlog=value))


@pytest.mark.parametrize("value", [{}, "660", True, 1.5, float("nan"), -1, 0o1000])
def test_mode_is_that_of_a_file(value: Any) -> None:
    refused("mode is ", lambda: Listen("unix:///run/it", mode=value))


@pytest.mark.parametrize("value", [None, {}, "10.0.0.0/8", True, 5])
def test_proxies_are_several(value: Any) -> None:
    said = f"proxies is {value!r}; it must be such as ('10.0.0.0/8',)"
    refused(said, lambda: Listen(ANY, proxies=value))


@pytest.mark.parametrize("value", [{}, None, True, 5, b"tcp://127.0.0.1:0"])
async def test_address_is_text(value: Any) -> None:
    said = f"{value!r} is no address; write it as 'tcp://127.0.0.1:7007'"
    for call in (Listen, aionet.Address.parse, lambda value: serve(Echo(), value)):
        refused(said, lambda call=call: call(value))  # type: ignore[misc]
    for asked in (connect, connect_datagram):
        with pytest.raises(ValueError, match="is no address; write it as"):
            await asked(value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limits": {}}, r"^limits is \{\}; it must be made by aionet.Limits\(\)$"),
        ({"timeouts": 5}, r"^timeouts is 5; it must be made by aionet.Timeouts\(\)$"),
        ({"tls": True}, r"^tls is True; it must be an ssl.SSLContext$"),
        ({"timeout": "5"}, "^timeout is '5'; it must be a number of seconds, or None$"),
        ({"timeout": float("nan")}, "^timeout is nan; "),
    ],
)
async def test_settings_of_a_client_are_those_of_a_server(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await connect("tcp://127.0.0.1:9", **given)


@pytest.mark.parametrize("kind", [Limits, Timeouts])
def test_true_is_no_number(kind: Any) -> None:
    refused(f"{kind.__name__}.message is True; it must be", lambda: kind(message=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"certificate": None}, "certificate is None; it must be the path of a PEM file"),
        ({"certificate": 5}, "certificate is 5; "),
        ({"certificate": "c.pem", "key": True}, "key is True; "),
        ({"certificate": "c.pem", "alpn": "h2"}, "alpn is 'h2'; it must be a list, such as ['h2']"),
        ({"certificate": "c.pem", "client_cert": {}}, "client_cert is {}; it must be 'none'"),
    ],
)
def test_files_of_a_certificate_are_paths(given: Any, said: str) -> None:
    refused(said, lambda: aionet.server_context(**given))


@pytest.mark.parametrize("value", [{}, "x", True, float("nan")])
async def test_time_to_drain_is_a_number(value: Any) -> None:
    async with serve(Echo(), ANY) as server:
        for call in (server.drain, server.retire):
            with pytest.raises(ValueError, match=f"^timeout is {value!r}; it must be a number"):
                await call(value)


async def test_only_streams_are_relayed() -> None:
    with pytest.raises(ValueError, match=r"^5 is no stream"):
        await aionet.relay(5, 6)  # type: ignore[arg-type]


# What does nothing where there are datagrams.


@pytest.mark.parametrize("make", [serve, run])
def test_framing_for_datagrams_only_is_refused(make: Any) -> None:
    said = "framing= needs an address of streams, and there are udp ones only"
    refused(said, lambda: make(Echo(), UDP, framing=Lines()))
    serve(Echo(), UDP, ANY, framing=Lines())  # a datagram is a message by itself there
    serve(Echo(), "tcp+udp://127.0.0.1:0", framing=Lines())


@pytest.mark.parametrize("given", [{"framing": Lines()}, {"proxies": ("unix",)}, {"backlog": 5}])
def test_what_is_for_connections_is_refused_where_there_are_none(given: Any) -> None:
    (name,) = given
    refused(f"{name}= is for connections, and {UDP} has datagrams", lambda: Listen(UDP, **given))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        refused(f"{name}= is for connections", lambda: Listen(sock, **given))


def test_framing_that_nobody_takes_is_refused() -> None:
    places = Listen(ANY, Echo()), Listen(ANY, Echo(), framing=Lines())
    refused("framing= is for nobody: each Listen", lambda: serve(*places, framing=Lines()))
