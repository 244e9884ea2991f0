"""Another Python to run the servers under: what it is, and what it can import."""

from __future__ import annotations

import functools
import shlex
import subprocess

import msgspec

from compare.models.source import OURS, folder_of
from compare.models.starting import why_not
from compare.models.unreadable import UNREADABLE

OLDEST = (3, 11)
LOOK_TIMEOUT_S = 30.0
# As -P, which no Python before 3.11 knows.
_NOT_FROM_HERE = "import sys; sys.path[:1] = []\n"
_LOOK = """
import json, platform, sys, sysconfig
jit = getattr(sys, "_jit", None)
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "numbers": sys.version_info[:2],
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "jit": bool(jit and jit.is_enabled()),
}))
"""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python. label: what models that run under it have after the @, such as 3.13 or 3.14t.

    gil: whether it has a global lock. jit: whether it compiles to machine code as it runs.
    """

    path: str
    label: str
    version: str
    implementation: str
    gil: bool
    jit: bool

    def __str__(self) -> str:
        lock = "" if self.gil else ", no GIL"
        return f"{self.implementation} {self.version}{lock}{', JIT' if self.jit else ''}"

    def why_without(self, module: str) -> str | None:
        """What to type where it has no such module."""
        return _why_without(self.path, module)

    def sources(self) -> str:
        """A folder with our packages and nothing else, which needs no installation."""
        return folder_of(str(OURS))


class _Seen(msgspec.Struct):
    implementation: str
    version: str
    numbers: tuple[int, int]
    threaded: bool  # built to run without a global lock
    gil: bool
    jit: bool

    @property
    def label(self) -> str:
        name = "" if self.implementation == "CPython" else self.implementation.lower()
        return f"{name}{'.'.join(map(str, self.numbers))}{'t' if self.threaded else ''}"


def look(command: str) -> Interpreter:
    """What `command` runs. Raises ValueError, with a line for a person."""
    try:
        done = subprocess.run(
            [command, "-c", _NOT_FROM_HERE + _LOOK],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LOOK_TIMEOUT_S,
            check=False,
        )
        seen = msgspec.json.decode(done.stdout, type=_Seen)
    except OSError as error:
        raise ValueError(why_not(error, command)) from None
    except (subprocess.TimeoutExpired, *UNREADABLE):
        raise ValueError(f"{command} is no Python: it cannot run -c {shlex.quote('...')}") from None
    if seen.numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ValueError(f"{command} is Python {seen.version}; the servers need {oldest} or newer")
    return Interpreter(
        path=command,
        label=seen.label,
        version=seen.version,
        implementation=seen.implementation,
        gil=seen.gil,
        jit=seen.jit,
    )


def look_at_all(commands: list[str]) -> list[Interpreter]:
    """The same of several; of those with one version, the second has the label 3.13-2."""
    found: list[Interpreter] = []
    for command in dict.fromkeys(commands):
        seen = look(command)
        same = sum(each.label.partition("-")[0] == seen.label for each in found)
        label = f"{seen.label}-{same + 1}" if same else seen.label
        found.append(msgspec.structs.replace(seen, label=label))
    return found


@functools.cache
def _why_without(path: str, module: str) -> str | None:
    attempt = subprocess.run(
        [path, "-c", f"{_NOT_FROM_HERE}import {module}"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if attempt.returncode == 0:
        return None
    return f"{module} is not installed for {path}: {path} -m pip install {module}"
