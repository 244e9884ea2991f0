"""What a program said when an error ended it: the error, and where in its file."""

from __future__ import annotations

import re

_FRAME = re.compile(r'^\W*File "(.+)", line (\d+)', re.MULTILINE)  # of a Python traceback
_RAISED = re.compile(r"\W*\w+(\.\w+)*(: |$)")
_THROWN = re.compile(r"^(?:Uncaught )?\w*Error(?: \[\w+\])?: .*$", re.MULTILINE)  # by Node
_THROWN_AT = re.compile(
    r"^(?P<top>/\S+\.[cm]?js):(?P<line>\d+)$|"
    r"^ +at .*?\(?(?P<at>/\S+\.[cm]?js):(?P<where>\d+):\d+\)?$",
    re.MULTILINE,
)


def gist(said: str) -> str:
    """Of a traceback of Python or Node, in a line; anything else as it is."""
    if frames := _FRAME.findall(said):
        lines = [line for line in said.splitlines() if _RAISED.match(line)]
        path, number = frames[-1]
        return f"{lines[-1].strip(' |')}{_at(path, number)}" if lines else said
    if thrown := _THROWN.search(said):
        at = _THROWN_AT.search(said)
        return thrown[0] + (_at(*(each for each in at.groups() if each)) if at else "")
    return said


def _at(path: str, number: str) -> str:
    """In whose file; of a library's, where one can do nothing, not."""
    name = path.rpartition("/")[2]
    return "" if "/lib/" in path or path.startswith("<") else f" ({name}, line {number})"
