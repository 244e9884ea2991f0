"""The reference of docs/aionet.md has every public name of aionet, and of what that has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import aionet
from aionet import testing

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aionet.md").read_text(encoding="utf-8")

# What has a table of its own, or has nothing, or is no thing but a type.
ELSEWHERE = {"CloseReason", "Limits", "Timeouts"}
TYPES = {"Answer", "Delivery", "Deliveries", "Handler", "CLOSE", "OVERSIZE", "ABORT"}
# What other modules of aionet take of it, and a program has no use for.
INNER = {
    "Listen": {
        *("has_datagrams", "has_streams", "is_unix_file", "on", "only_streams", "serving"),
    },
    "Stats": {"over", "pack", "unpack"},
    "Stream": {
        *("broken", "closed", "closed_by_handler", "feed", "feed_eof", "gone", "is_cut", "is_over"),
        *("is_waited_for", "is_waited_for_in", "relayed", "secured", "writable"),
    },
    "Worker": {"hears", "serves"},
    "testing.Peer": {"read"},
}
MADE_FOR_YOU = {"Server", "Stream", "Worker", "Peer", "DatagramClient", "testing.Peer", "Framing"}
THINGS: dict[str, Any] = {
    **{name: getattr(aionet, name) for name in aionet.__all__ if name not in ELSEWHERE | TYPES},
    **{f"testing.{name}": getattr(testing, name) for name in testing.__all__},
}
THINGS["MemoryServer"] = THINGS.pop("testing.MemoryServer")


def told() -> dict[str, list[str]]:
    """Of each thing, what the page says that it has."""
    found: dict[str, list[str]] = {}
    _, _, rest = PAGE.partition("\n## What each of them has\n")
    for line in rest.partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            thing, has, _ = (cell.strip() for cell in line.strip("|").split(" | ", 2))
            found.setdefault(thing.strip("`"), []).extend(re.findall(r"`(\w+)`", has))
    return found


def parameters(what: Any) -> set[str]:
    return {name for name in inspect.signature(what).parameters if not name.startswith("_")}


def members(kind: type) -> set[str]:
    """Public ones, of the class and of its objects, but not those of a base that is public, too."""
    found: set[str] = set()
    for base in kind.__mro__:
        if base is not kind and base in THINGS.values():
            found -= members(base)
            break
        if base.__module__.startswith("aionet"):
            found |= {*vars(base), *getattr(base, "__annotations__", {})}
            found |= set(re.findall(r"\bself\.(\w+)(?::[^=\n]+)? = ", inspect.getsource(base)))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("name", THINGS)
def test_everything_that_a_public_name_has_is_in_the_reference(name: str) -> None:
    thing = THINGS[name]
    if not inspect.isclass(thing):
        expected = parameters(thing)
    else:
        expected = members(thing)
        if name in ("Lines", "Until", "LengthPrefixed", "Exactly"):
            expected -= members(aionet.Framing)
        if name not in MADE_FOR_YOU and "__init__" in vars(thing):
            expected |= parameters(thing)
        if issubclass(thing, aionet.IncompleteError):
            expected -= parameters(aionet.BrokenStreamError)
    named = told().get(name, [])
    assert sorted(named) == sorted(expected - INNER.get(name, set()))


def test_the_reference_has_nothing_else() -> None:
    assert told().keys() <= THINGS.keys()
    for name, inner in INNER.items():
        assert inner <= members(THINGS[name]), name
