"""What is wrong with a course.toml, in words of the file and not of what reads it."""

from __future__ import annotations

import re
from typing import Any

_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": 'a text in "..."',
    "array": "a list in [...]",
    "object": "a table",
    "datetime": "a time such as 2027-01-31T23:59:00+01:00",
    "bool": "true or false",
}


def said(error: str, content: dict[str, Any], known: dict[str, tuple[str, ...]]) -> str:
    """error: msgspec's. known: which words there may be, by the table that they are in."""
    what, _, at = error.partition(" - at `$.")
    path = at.rstrip("`")
    where, table, name = _place(path, content)
    if found := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        kinds = [each for each in found[1].split(" | ") if each != "null"]  # TOML has none
        wanted = " or ".join(_KINDS.get(each, each) for each in kinds)
        got = _KINDS.get(found[2], found[2])
        return f"{where}{name or 'a value'} is {got}: {wanted} is meant"
    if found := re.search(r"unknown field `(.*)`", what):
        inner = name or table
        words = ", ".join(known.get(inner, ()))
        return f"{where}there is no {found[1]!r}{f' in {name}' if name else ''}; there are {words}"
    if found := re.search(r"missing required field `(.*)`", what):
        return f"{where}there is no {found[1]!r}, which is needed"
    if found := re.fullmatch(r"Invalid enum value (.*)", what):
        words = ", ".join(known.get(name, ()))
        return f"{where}{name} is {found[1]}: one of {words}"
    if "datetime" in what:
        return f"{where}{name} is no time: such as 2027-01-31T23:59:00+01:00"
    return f"{where}{name}: {what}"


def _place(path: str, content: dict[str, Any]) -> tuple[str, str, str]:
    """Which lesson, the table that a word is in, and the word, if the fault is not a table's."""
    if not (found := re.fullmatch(r"lesson\[(\d+)\](?:\.(.*))?", path)):
        return "", "", path.replace("[...]", "")
    number: Any = None
    lot = content.get("lesson")
    if isinstance(lot, list) and isinstance(lot[int(found[1])], dict):
        number = lot[int(found[1])].get("number")
    ordinal = f"[[lesson]] {int(found[1]) + 1} of the file"
    name = (found[2] or "").replace("[...]", "")
    return (f"lesson {number}: " if isinstance(number, int) else f"{ordinal}: "), "lesson", name
