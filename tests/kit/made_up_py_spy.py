"""A py-spy that saw what it is told to have seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.host import stacks

# As py-spy does, it says when it looks, and writes where it is told to when it is interrupted.
LOOKS = """#!/bin/sh
for word; do output=$word; done
trap 'cat "$0.seen" > "$output"; exit 0' INT
echo 'py-spy> Sampling process 200 times a second. Press Control-C to exit.'
while :; do sleep 0.01; done
"""
REFUSES = """#!/bin/sh
echo 'Error: Failed to find python version from target process' >&2
echo 'Stack backtrace:' >&2
exit 1
"""
# Reads no functions of C.
PYTHON_ONLY = LOOKS.replace("\n", '\ncase "$*" in *--native*) exit 1;; esac\n', 1)


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seen: str = "", script: str = LOOKS
) -> None:
    """It takes the place of py-spy, and will have seen that."""
    path = folder / "py-spy"
    path.write_text(script)
    path.chmod(0o755)
    path.with_name("py-spy.seen").write_text(seen)
    monkeypatch.setattr(stacks, "command", lambda: str(path))
