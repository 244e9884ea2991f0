"""The arguments of `serve` and `chat`: what is asked for, and what cannot be meant."""

from __future__ import annotations

import re

import pytest
from mains import MAINS, each_package

from aionet import command
from aionet.__main__ import main as aionet_main
from aionet.address import Address
from aionet.command import Chat, Serve
from aionet.limits import Limits, Timeouts
from aionet.loops import LOOPS
from blocking.__main__ import main as blocking_main


def parse(*argv: str) -> Serve | Chat:
    return command.parse("it", list(argv), option="model", choices=["one", "two"], option_help="")


def test_what_is_not_asked_for_has_its_default() -> None:
    assert parse("serve", "chat") == Serve(
        "chat", "one", (Address("tcp", "127.0.0.1", 0),), Limits(), Timeouts(), None, 1, None
    )


def test_udp_echo_is_served_over_udp() -> None:
    task = parse("serve", "udp-echo")
    assert isinstance(task, Serve)
    assert task.datagrams
    assert task.addresses == (Address("udp", "127.0.0.1", 0),)


def test_every_option_arrives() -> None:
    options = (
        "--model two --listen tcp://[::1]:7 --listen unix:///run/it --workers 3 "
        "--tls-cert chain.pem --tls-key key.pem --close-after 9 "
        "--write-buffer 1 --outbox 2 --drain-timeout 3 --linger-timeout 0.4"
    )
    assert parse("serve", "echo", *options.split()) == Serve(
        "echo",
        "two",
        (Address("tcp", "::1", 7), Address("unix", path="/run/it")),
        Limits(write_buffer=1, outbox=2),
        Timeouts(drain=3.0, linger=0.4),
        9,
        3,
        ("chain.pem", "key.pem"),
    )


def test_a_certificate_may_hold_its_key() -> None:
    task = parse("serve", "chat", "--tls-cert", "both.pem")
    assert isinstance(task, Serve)
    assert task.tls == ("both.pem", None)


def test_the_limit_of_a_line_is_the_room_s() -> None:
    task = parse("serve", "chat", "--max-message", "7")
    assert isinstance(task, Serve)
    room = task.make_service()
    list(room.connect("peer"))
    ((_, refusal), *_) = room.receive_data("peer", b"12345678")
    assert refusal == b"! line is over 7 bytes\n"


def test_chat_is_told_where_and_as_whom() -> None:
    assert parse("chat", "localhost:7007", "--name", "ann") == Chat("localhost", 7007, "ann")


@each_package
@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ("", "arguments are required: {serve,chat"),
        ("bake", "invalid choice: 'bake'"),
        ("serve", "arguments are required: service"),
        ("serve cake", "invalid choice: 'cake'"),
        ("serve echo --model nosuch --loop nosuch", "nosuch"),
        ("serve echo --mod epoll", "unrecognized arguments: --mod epoll"),
        ("serve echo --listen", "--listen: expected one argument"),
        ("serve echo --listen http://127.0.0.1:80", "has the scheme 'http'"),
        ("serve echo --listen udp://127.0.0.1:0", "echo is served over tcp"),
        ("serve chat --listen udp://127.0.0.1:0", "chat is served over tcp"),
        ("serve udp-echo --listen tcp://127.0.0.1:0", "udp-echo is served over udp"),
        ("serve udp-echo --listen unix:///run/it", "udp-echo is served over udp"),
        ("serve echo --listen unix://", "unix://"),
        ("serve echo --listen tcp://127.0.0.1:70000", "70000"),
        ("serve echo --listen tcp://127.0.0.1", "does not name a host and a port"),
        ("serve echo --write-buffer -1", "argument --write-buffer"),
        ("serve echo --write-buffer 0", "'0' is not a number of bytes"),
        (
            "serve echo --close-after 0",
            "argument --close-after: '0' is not a number of bytes from 1",
        ),
        ("serve echo --close-after \u0663", "argument --close-after: '\u0663' is not a number"),
        ("serve chat --close-after 5", "--close-after is for echo, not for chat"),
        ("serve udp-echo --close-after 5", "--close-after is for echo, not for udp-echo"),
        ("serve echo --outbox 1.5", "'1.5' is not a number of bytes"),
        ("serve echo --outbox many", "'many' is not a number of bytes"),
        ("serve echo --outbox \u0663", "'\u0663' is not a number of bytes"),
        ("serve chat --outbox 7", "--outbox 7 is less than --write-buffer, which is 65536: "),
        ("serve echo --drain-timeout -1", "argument --drain-timeout"),
        ("serve echo --drain-timeout 0", "'0' is not a number of seconds"),
        ("serve echo --drain-timeout soon", "'soon' is not a number of seconds"),
        ("serve echo --max-connections 0", "'0' is not a number of them from 1"),
        ("serve echo --max-connections None", "'None' is not a number of them from 1"),
        ("serve echo --max-message none", "'none' is not a number of bytes"),
        ("serve echo --on-full wait", "argument --on-full: invalid choice: 'wait'"),
        ("serve echo --write-timeout never", "'never' is not a number of seconds"),
        ("serve echo --linger-timeout none", "'none' is not a number of seconds"),
        ("serve echo --linger-timeout nan", "'nan' is not a number of seconds"),
        ("serve echo --linger-timeout inf", "'inf' is not a number of seconds"),
        ("chat 127.0.0.1:7007", "arguments are required: --name"),
        ("chat 127.0.0.1 --name ann", "does not name a host and a port"),
        ("chat udp://127.0.0.1:7007 --name ann", "chat is spoken over TCP, not udp"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_2(
    package: str, argv: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        MAINS[package](argv.split())
    said = capsys.readouterr()
    assert exit_.value.code == 2
    assert said.out == ""
    (error,) = said.err.splitlines()
    assert error.startswith(f"python -m {package}")
    assert reason in error


@pytest.mark.parametrize(
    "option", ["--write-buffer 9223372036854775808", "--linger-timeout 1e7", "--drain-timeout 1e10"]
)
def test_a_number_that_system_calls_cannot_take_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse("serve", "echo", *option.split())
    assert exit_.value.code == 2
    assert " is not a number of " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ("serve chat --workers 2", "chat cannot have --workers 2"),
        ("serve echo --workers 0", "argument --workers: '0' is not a number from 1 to"),
        ("serve echo --workers 1000000", "argument --workers: '1000000' is not a number"),
        ("serve echo --workers two", "argument --workers: 'two' is not a number from 1 to"),
        ("serve echo --tls-key key.pem", "--tls-key needs --tls-cert FILE"),
        ("serve udp-echo --tls-cert chain.pem", "udp-echo cannot have --tls-cert"),
        ("serve echo --max-per-peer 0", "argument --max-per-peer: '0' is not"),
        ("serve udp-echo --udp-rate -1", "argument --udp-rate: "),
        ("serve echo --idle-timeout 0", "argument --idle-timeout: '0' is not"),
        ("serve echo --half-closed-timeout x", "argument --half-closed-timeout: 'x' is not"),
    ],
)
def test_what_aionet_cannot_mean_is_one_line_too(
    argv: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        aionet_main(argv.split())
    assert exit_.value.code == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "options",
    [
        "--workers 2",
        "--udp-rate 1",
        "--udp-rate-loopback 1",
        "--udp-handlers 1",
        "--udp-low-ports",
        "--listen unix:///run/it",
        "--listen systemd:",
        "--listen fd://3",
        "--listen tcp://127.0.0.1:0 --listen tcp://127.0.0.1:0",
    ],
)
def test_what_only_aionet_can_do_is_refused_by_blocking(
    options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        blocking_main(["serve", "echo", *options.split()])
    assert exit_.value.code == 2
    assert options.split()[0] in capsys.readouterr().err.splitlines()[-1]


OF_CONNECTIONS = (
    *("--max-connections 3", "--max-per-peer 3", "--on-full reject", "--write-buffer 3"),
    *("--min-rate 3", "--idle-timeout 3", "--half-closed-timeout 3", "--write-timeout 3"),
    "--linger-timeout 3",
)
OF_LINES = ("--max-message 3", "--outbox 70000", "--message-timeout 3")
OF_DATAGRAMS = ("--udp-rate 3", "--udp-rate-loopback 3", "--udp-low-ports")
KEPT = {
    "echo": OF_CONNECTIONS,
    "echo --tls-cert both.pem": (*OF_CONNECTIONS, "--handshake-timeout 3"),
    "echo --listen unix:///run/it": tuple(each for each in OF_CONNECTIONS if "peer" not in each),
    "echo --listen unix:///run/it --listen tcp://127.0.0.1:0": OF_CONNECTIONS,
    "chat": (*OF_CONNECTIONS, *OF_LINES),
    "udp-echo": OF_DATAGRAMS,
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("service", KEPT)
@pytest.mark.parametrize(
    "option",
    [
        *(*OF_CONNECTIONS, *OF_LINES, *OF_DATAGRAMS),
        *("--udp-handlers 3", "--handshake-timeout 3", "--drain-timeout 3", "--udp-rate none"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(
    loop: str,
    service: str,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("aionet.__main__.serve", lambda task: 0)
    with pytest.raises(SystemExit) as exit_:
        aionet_main(["serve", *service.split(), "--loop", loop, *option.split()])
    said = capsys.readouterr().err
    if option in (*KEPT[service], "--drain-timeout 3", "--udp-rate none"):
        assert (exit_.value.code, said) == (0, "")
    else:
        assert exit_.value.code == 1
        assert re.fullmatch(rf"error: {option.split()[0]} does nothing .*; leave it out\n", said)


OPTIONS = {
    "blocking": {
        *("--help", "--model", "--listen", "--max-connections", "--on-full", "--max-message"),
        *("--close-after", "--talk", "--tls-cert", "--tls-key", "--handshake-timeout"),
        *("--max-per-peer", "--write-buffer", "--outbox", "--min-rate"),
        *("--idle-timeout", "--message-timeout", "--half-closed-timeout"),
        *("--write-timeout", "--drain-timeout", "--linger-timeout"),
    }
}
OPTIONS["aionet"] = OPTIONS["blocking"] - {"--model", "--talk"} | {
    *("--loop", "--workers"),
    *("--udp-rate", "--udp-rate-loopback", "--udp-handlers", "--udp-low-ports"),
    *("--max-rate", "--max-peer-rate"),
}


@each_package
@pytest.mark.parametrize("columns", [80, 100])
def test_help_tells_every_option_once_within_the_width_of_a_terminal(
    package: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as exit_:
        MAINS[package](["serve", "--help"])
    assert exit_.value.code == 0
    usage, *rest = capsys.readouterr().out.split("\n\n")
    assert max(map(len, "\n".join([usage, *rest]).splitlines())) <= columns
    told = re.findall(r"^  (?:-h, )?(--[a-z-]+)", "\n\n".join(rest), re.MULTILINE)
    assert sorted(told) == sorted(OPTIONS[package])
    in_usage = re.findall(r"--[a-z-]+", usage)
    assert sorted(in_usage) == sorted(OPTIONS[package] - {"--help"})


@each_package
@pytest.mark.parametrize("option", ["--model", "--loop"])
def test_a_choice_without_a_value_is_a_usage_error(
    package: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        MAINS[package](["serve", "echo", option])
    assert exit_.value.code == 2
    assert option in capsys.readouterr().err.splitlines()[-1]
