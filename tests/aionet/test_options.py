"""Limits and Timeouts as options: every one of them, in both directions."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest

from aionet.limits import Limits, Timeouts
from aionet.options import add_options, limiting, read_options

# The option of each setting.
LIMITS = {
    "connections": "--max-connections",
    "per_peer": "--max-per-peer",
    "rate": "--max-rate",
    "peer_rate": "--max-peer-rate",
    "on_full": "--on-full",
    "message": "--max-message",
    "write_buffer": "--write-buffer",
    "outbox": "--outbox",
    "min_rate": "--min-rate",
    "udp_rate": "--udp-rate",
    "udp_rate_loopback": "--udp-rate-loopback",
    "udp_handlers": "--udp-handlers",
    "udp_low_ports": "--udp-low-ports",
}
TIMEOUTS = {
    "idle": "--idle-timeout",
    "message": "--message-timeout",
    "write": "--write-timeout",
    "half_closed": "--half-closed-timeout",
    "handshake": "--handshake-timeout",
    "drain": "--drain-timeout",
    "linger": "--linger-timeout",
}
OPTIONAL = {
    *("--max-connections", "--max-per-peer", "--max-rate", "--max-peer-rate"),
    *("--udp-rate", "--udp-rate-loopback"),
    *("--idle-timeout", "--message-timeout", "--write-timeout", "--half-closed-timeout"),
    "--handshake-timeout",
}
each_limit = pytest.mark.parametrize(("name", "option"), LIMITS.items())
each_timeout = pytest.mark.parametrize(("name", "option"), TIMEOUTS.items())
each_option = pytest.mark.parametrize("option", [*LIMITS.values(), *TIMEOUTS.values()])


def read(*argv: str, wanted: Any = None) -> tuple[Limits, Timeouts]:
    parser = argparse.ArgumentParser("it", allow_abbrev=False)
    add_options(parser, wanted)
    return read_options(parser.parse_args(argv))


def refused(capsys: pytest.CaptureFixture[str], *argv: str, wanted: Any = None) -> str:
    """The last line that is said about what cannot be meant."""
    with pytest.raises(SystemExit) as exit_:
        read(*argv, wanted=wanted)
    assert exit_.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()[-1]


def test_every_setting_has_its_option() -> None:
    assert list(LIMITS) == [field.name for field in fields(Limits)]
    assert list(TIMEOUTS) == [field.name for field in fields(Timeouts)]
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    assert options == [*LIMITS.values(), *TIMEOUTS.values()]


def test_what_is_not_asked_for_has_its_default() -> None:
    assert read() == (Limits(), Timeouts())


@each_limit
def test_a_limit_is_read(name: str, option: str) -> None:
    value, text = ("reject", "=reject") if name == "on_full" else (7, "=7")
    if name == "udp_low_ports":
        value, text = True, ""
    if name == "outbox":
        value, text = 70_000, "=70000"
    assert read(option + text) == (Limits(**{name: value}), Timeouts())


@each_timeout
def test_a_timeout_is_read(name: str, option: str) -> None:
    assert read(option, "0.25") == (Limits(), Timeouts(**{name: 0.25}))


@each_option
def test_none_lifts_what_may_be_lifted(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    if option in OPTIONAL:
        limits, timeouts = read(option, "none")
        kind, names = (limits, LIMITS) if option in LIMITS.values() else (timeouts, TIMEOUTS)
        (name,) = [name for name, each in names.items() if each == option]
        assert getattr(kind, name) is None
    else:
        assert f"argument {option}: " in refused(capsys, f"{option}=none")


@each_option
@pytest.mark.parametrize("value", ["0", "-1", "1e99", "x", "", "None", "\u0663", "1_0", " 1"])
def test_a_wrong_value_is_told_with_its_option(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Python takes digits of any script, underscores and spaces for a float; so do we.
    if option in TIMEOUTS.values() and value in ("\u0663", "1_0", " 1"):
        read(option, value)
        return
    line = refused(capsys, f"{option}={value}")
    assert line.startswith(f"it: error: argument {option}: ")
    assert repr(value) in line


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            "--max-connections=x",
            "it: error: argument --max-connections: "
            "'x' is not a number of them from 1 to 2147483647, nor 'none'",
        ),
        (
            "--outbox=x",
            "it: error: argument --outbox: 'x' is not a number of bytes from 1 to 2147483647",
        ),
        (
            "--drain-timeout=x",
            "it: error: argument --drain-timeout: "
            "'x' is not a number of seconds above 0 and up to 86400",
        ),
    ],
)
def test_the_message_says_what_would_be_right(
    argv: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, argv) == line


def test_an_outbox_below_the_write_buffer_is_refused() -> None:
    line = "^--outbox 7 is less than --write-buffer, which is 65536: raise the one or lower the"
    with pytest.raises(ValueError, match=line):
        read("--outbox", "7")
    with pytest.raises(ValueError, match="outbox 70000 is less than --write-buffer"):
        read("--outbox", "70000", "--write-buffer", "70001")
    assert read("--outbox", "7", "--write-buffer", "7")[0] == Limits(outbox=7, write_buffer=7)


def test_an_outbox_that_was_not_asked_for_rises_with_the_write_buffer() -> None:
    limits, timeouts = read("--write-buffer", "2000000")
    assert limits == Limits(write_buffer=2_000_000, outbox=2_000_000)
    assert limiting(limits, timeouts) == {"write_buffer": "--write-buffer"}
    assert "outbox" in limiting(*read("--write-buffer", "70000", "--outbox", "70000"))


def test_only_what_is_wanted_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert read("--outbox", "70000", "--linger-timeout", "2", wanted=("outbox", "linger")) == (
        Limits(outbox=70_000),
        Timeouts(linger=2),
    )
    line = refused(capsys, "--write-buffer", "7", wanted=("outbox", "linger"))
    assert line == "it: error: unrecognized arguments: --write-buffer 7"


def test_the_two_settings_called_message_are_wanted_by_different_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert read("--max-message", "7", wanted=("message",))[0].message == 7
    assert read("--message-timeout", "7", wanted=("message_timeout",))[1].message == 7
    assert "--message-timeout" in refused(capsys, "--message-timeout=7", wanted=("message",))
    assert "--max-message" in refused(capsys, "--max-message=7", wanted=("message_timeout",))
