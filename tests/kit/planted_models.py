"""Models that are planted servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compare.models.model import Model
from compare.selftest import planted

# Others are in compare/selftest/planted/.
PLACES = {"starts.py": Path(__file__).parents[1] / "compare" / "servers"}


def model_of(name: str, script: str, *arguments: object, **fields: Any) -> Model:
    place = PLACES.get(script, planted.FOLDER)
    command = (str(place / script), *map(str, arguments))
    return Model(name, "planted", command, **fields)


GOOD = model_of("good", "echo.py", "correct")
BETTER = model_of("better", "echo.py", "correct")
