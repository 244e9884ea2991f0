"""What can be run of a learner's file: as it is, or compiled before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from compare.learn.lesson import Tongue

CC = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread")


class BuildError(Exception):
    """It cannot be made; the message is what the compiler says, or what is missing."""


def command(tongue: Tongue, source: Path, place: Path, **options: Any) -> tuple[str, ...]:
    """To run it, with {host} and {port} still in it; `place`: for what a compiler makes.

    options: of subprocess, for the compiler. Raises BuildError.
    """
    if tongue == "python":
        return (sys.executable, str(source), "{host}", "{port}")
    if tongue == "js":
        return (_needed("node"), str(source), "{host}", "{port}")
    made = place / source.stem
    built = subprocess.run(
        [_needed("cc"), *CC, "-o", str(made), str(source)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )
    if built.returncode:
        raise BuildError(built.stderr.strip() or f"cc ended with {built.returncode}")
    return (str(made), "{host}", "{port}")


def _needed(program: str) -> str:
    if (found := shutil.which(program)) is None:
        raise BuildError(f"there is no {program} in PATH")
    return found
