"""The page on architecture says what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rooms import BELOW

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
OURS = re.compile(r"`((?:aionet|blocking|compare|tests|docs)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = OURS.findall(page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_table_allows_what_the_test_of_imports_allows() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    allowed = {room: set(re.findall(r"`(\w+)`", last)) for room, last in ROW.findall(text)}
    assert allowed == BELOW


def test_every_room_of_compare_stands_in_the_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    rooms = {each.name for each in (ROOT / "compare").iterdir() if (each / "__init__.py").exists()}
    assert set(table) == rooms - {"contenders"}


def test_files_of_a_cells_way_are_rooms_of_compare() -> None:
    """Named without `compare/` in front, where it is plain."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/\w+\.py)`", text)
    missing = [
        path
        for path in named
        if not (ROOT / path).exists() and not (ROOT / "compare" / path).exists()
    ]
    assert named
    assert missing == []
