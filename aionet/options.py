"""Limits and Timeouts as command-line options, for whichever program takes them."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from aionet.limits import MAX_INT, Limits, Timeouts

NONE = "none"


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    help: str
    default: str = ""  # in words, where the value says nothing


_OPTIONS = {
    "connections": _Option(
        "max-connections", "connections at a time", "what the limit on descriptors allows"
    ),
    "per_peer": _Option("max-per-peer", "connections from one address, or one IPv6 /64"),
    "rate": _Option("max-rate", "new connections a second, beyond which newcomers wait"),
    "peer_rate": _Option("max-peer-rate", "the same from one address; more are reset"),
    "on_full": _Option("on-full", "let newcomers over the limit wait, or reset them"),
    "message": _Option("max-message", "of a line of text"),
    "write_buffer": _Option(
        "write-buffer", "unsent bytes for a peer above which nothing is read from it"
    ),
    "outbox": _Option(
        "outbox", "unsent bytes for a peer, said by others, above which it is dropped"
    ),
    "min_rate": _Option("min-rate", "bytes a second that a peer takes at least of what waits"),
    "udp_rate": _Option("udp-rate", "datagrams a second to one source"),
    "udp_rate_loopback": _Option("udp-rate-loopback", "the same on this machine"),
    "udp_handlers": _Option("udp-handlers", "handlers of datagrams at a time"),
    "udp_low_ports": _Option("udp-low-ports", "answer datagrams of ports below 1024, too", "no"),
    "idle": _Option("idle-timeout", "while nothing comes from a peer and nothing goes to it"),
    "message_timeout": _Option("message-timeout", "from the first byte of a line to its last"),
    "write": _Option("write-timeout", "while a peer takes nothing of what is sent to it"),
    "half_closed": _Option("half-closed-timeout", "as idle, once the peer has finished sending"),
    "handshake": _Option("handshake-timeout", "for TLS"),
    "drain": _Option("drain-timeout", "to go on sending what is pending after SIGTERM"),
    "linger": _Option("linger-timeout", "for a peer to close first after the service closed it"),
}
_BYTES = ("message", "write_buffer", "outbox")
_DEFAULT: dict[str, Any] = {field.name: field.default for field in fields(Limits)}
# Beside which either of the two may have any value.
_WIDE: dict[str, Any] = {"write_buffer": 1, "outbox": MAX_INT}


def add_options(parser: argparse.ArgumentParser, wanted: Collection[str] | None = None) -> None:
    """Add an option for each setting of Limits and Timeouts, or for those called `wanted`.

    There, `message` is that of Limits, and `message_timeout` that of Timeouts.
    """
    for kind in (Limits, Timeouts):
        group = parser.add_argument_group(
            "limits" if kind is Limits else "timeouts", f"{NONE!r} lifts one that may be lifted"
        )
        for field in fields(kind):
            key = _key(kind, field.name)
            if wanted is not None and key not in wanted:
                continue
            option = _OPTIONS[key]
            default = option.default or (NONE if field.default is None else field.default)
            settings: dict[str, Any] = {"type": _reader(kind, field.name, f"--{option.name}")}
            if field.name == "udp_low_ports":
                settings = {"action": "store_true"}
            elif field.name == "on_full":
                settings = {"choices": ("queue", "reject")}
            elif kind is Timeouts:
                settings["metavar"] = "SECONDS"
            else:
                settings["metavar"] = "BYTES" if field.name in _BYTES else "N"
            group.add_argument(
                f"--{option.name}",
                dest=key,
                default=field.default,
                help=f"{option.help} (default: {default})".replace("%", "%%"),
                **settings,
            )


def read_options(args: argparse.Namespace) -> tuple[Limits, Timeouts]:
    """What `add_options` has read; what was not asked for has its default.

    An outbox that was not asked for is never less than the write buffer. Raises ValueError for one
    that was and is.
    """

    def given(kind: type[Limits] | type[Timeouts]) -> dict[str, Any]:
        keys = {field.name: _key(kind, field.name) for field in fields(kind)}
        return {name: getattr(args, key) for name, key in keys.items() if hasattr(args, key)}

    limits = given(Limits)
    buffer, outbox = (limits.get(name, _DEFAULT[name]) for name in ("write_buffer", "outbox"))
    if outbox < buffer:
        if outbox != _DEFAULT["outbox"]:
            raise ValueError(
                f"--outbox {outbox} is less than --write-buffer, which is {buffer}: raise the one "
                "or lower the other"
            )
        limits["outbox"] = buffer
    return Limits(**limits), Timeouts(**given(Timeouts))


def limiting(limits: Limits, timeouts: Timeouts) -> dict[str, str]:
    """The option of each setting that is not its default; what was lifted limits nothing."""
    found = {}
    for each in (limits, timeouts):
        for field in fields(each):
            value = getattr(each, field.name)
            if value != field.default and value is not None and not _follows(limits, field.name):
                key = _key(type(each), field.name)
                found[key] = f"--{_OPTIONS[key].name}"
    return found


def _follows(limits: Limits, name: str) -> bool:
    """Whether it is what it is for another's sake: `read_options`."""
    return name == "outbox" and _DEFAULT[name] < limits.outbox == limits.write_buffer


def _key(kind: type, name: str) -> str:
    """Both have a `message`: bytes, and seconds."""
    return "message_timeout" if kind is Timeouts and name == "message" else name


def _reader(kind: type[Limits] | type[Timeouts], name: str, option: str) -> Any:
    """Reads one value, and says what is wrong with it in the option's own words."""

    def read(text: str) -> float | int | None:
        value: float | int | None
        try:
            if text == NONE:
                value = None
            elif kind is Limits:
                value = int(text) if text.isascii() and text.isdigit() else -1
            else:
                value = float(text)
            _check(kind, name, value)
        except ValueError:
            what = "a number of seconds above 0 and up to 86400"
            if kind is Limits:
                unit = "bytes" if name in _BYTES else "them"
                what = f"a number of {unit} from 1 to 2147483647"
            can_lift = f", nor {NONE!r}" if _is_optional(kind, name) else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}{can_lift}") from None
        return value

    return read


def _check(kind: type[Limits] | type[Timeouts], name: str, value: float | None) -> None:
    """Raises ValueError for what the setting cannot be, whatever the others are."""
    beside = _WIDE if kind is Limits else {}
    kind(**{**beside, name: value})


def _is_optional(kind: type[Limits] | type[Timeouts], name: str) -> bool:
    try:
        _check(kind, name, None)
    except ValueError:
        return False
    return True
