"""What can be run of a learner's file: as it is, or compiled before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from compare.learn.lesson import Tongue

NEEDED: dict[Tongue, str] = {"c": "cc", "js": "node"}
PLACES = ("{host}", "{port}")  # words that are replaced by where it is to listen
CC = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread")


class BuildError(Exception):
    """It cannot be made; the message is what the compiler says, or what is missing."""


def command(tongue: Tongue, source: Path, place: Path, **options: Any) -> tuple[str, ...]:
    """To run it, with {host} and {port} still in it; `place`: for what a compiler makes.

    options: of subprocess, for the compiler. Raises BuildError.
    """
    if not source.exists():
        raise BuildError(f"{source} is not there")
    if source.stat().st_size == 0:
        raise BuildError(f"{source.name} is empty")
    if why := missing(tongue):
        raise BuildError(why)
    if tongue != "c":
        found = shutil.which(NEEDED[tongue]) if tongue in NEEDED else sys.executable
        return (str(found), str(source), *PLACES)
    made = place / source.stem
    built = subprocess.run(
        [NEEDED[tongue], *CC, "-o", str(made), str(source)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )
    if built.returncode:
        said = built.stderr.replace(f"{source}:", f"{source.name}:").strip()
        raise BuildError(f"it does not compile:\n{said or f'cc ended with {built.returncode}'}")
    return (str(made), *PLACES)


def missing(tongue: Tongue) -> str | None:
    """What there must be to take the course in a language, and is not."""
    program = NEEDED.get(tongue)
    return f"there is no {program} in PATH" if program and not shutil.which(program) else None
