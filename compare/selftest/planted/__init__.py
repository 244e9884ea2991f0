"""Servers with planted faults: what the instrument must recover exactly.

Programs, not modules: each says READY, does one thing wrong as often as it is told, and says on
stdout, as JSON, how often it did so when it gets SIGTERM.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def command(script: str, *arguments: object) -> list[str]:
    """What starts one of them; it imports nothing but the standard library's."""
    return [sys.executable, "-I", str(FOLDER / script), *map(str, arguments)]
