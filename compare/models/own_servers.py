"""Servers of the user's own, as models beside ours: from `--server` and from a TOML file."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path

import msgspec

from compare.models import units
from compare.models.matrix import MODELS, WORKLOADS, Model
from compare.models.starting import words_of

_NOT_SAID = "it does not say that it serves this"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[server.NAME]` table.

    command: words, or one string in a shell's quoting; `{host}`, `{port}` and
        `{workers}` are replaced.
    workloads: what it serves, all that is asked for if it does not say. cores: where it runs.
    ready_timeout: how long it may take to start, such as 30s.
    """

    command: str | list[str]
    workloads: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    cores: list[int] = []
    ready_timeout: str | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: dict[str, Described]


def from_option(text: str) -> Model:
    """A model from `NAME=COMMAND`. Raises ValueError, with a line for a person."""
    name, equals, command = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=COMMAND, such as mine='python my.py {{port}}'")
    return _model(name, Described(command))


def from_config(path: Path) -> list[Model]:
    """The models of a file. Raises ValueError, with a line for a person."""
    try:
        config = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=Config)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: {error}") from None
    except (OSError, ValueError, RecursionError) as error:  # of whatever is no TOML
        raise ValueError(f"cannot read {path}: {error}") from None
    return [_model(name, each) for name, each in config.server.items()]


def _model(name: str, described: Described) -> Model:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: up to 32 letters, digits and _ . -")
    if name in MODELS:
        raise ValueError(f"there is a model {name!r} already; choose another name")
    try:
        command = described.command
        words = words_of([command] if isinstance(command, str) else command)
        words = words_of(words)  # quoted as a whole once more
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not words:
        raise ValueError(f"{name}: the command is empty")
    for workload in described.workloads:
        if workload not in WORKLOADS:
            raise ValueError(
                f"{name}: there is no workload {workload!r}; choose from {', '.join(WORKLOADS)}"
            )
    for word in (*words, described.cwd or "", *described.env, *described.env.values()):
        if "\0" in word:
            raise ValueError(f"{name}: {word[:40]!r} has a NUL, which no process can be given")
    for variable in described.env:
        if not variable or "=" in variable:
            raise ValueError(f"{name}: {variable[:40]!r} in env is no name: it is empty or has a =")
    if described.cwd == "":
        raise ValueError(f"{name}: cwd is empty: leave it out, or name a folder")
    if missing := sorted(set(described.cores) - os.sched_getaffinity(0)):
        raise ValueError(f"{name}: there is no core {missing[0]} for us")
    try:
        text = described.ready_timeout
        ready_timeout_s = None if text is None else units.time_us(text, bare=1e6) / 1e6
    except ValueError as error:
        raise ValueError(f"{name}: ready_timeout: {error}") from None
    served = described.workloads or list(WORKLOADS)
    return Model(
        name,
        shlex.join(words),
        tuple(words),
        cannot={each: _NOT_SAID for each in WORKLOADS if each not in served},
        own=True,
        cwd=described.cwd,
        environment=described.env or None,
        cores=tuple(described.cores),
        ready_timeout_s=ready_timeout_s,
    )
