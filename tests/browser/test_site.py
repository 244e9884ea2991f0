"""The site in a real browser, from disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chromium import NARROW, WIDE, must_be_accessible, visit

pytest.importorskip("sphinx", reason="pip install '.[docs]'")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*(each.stem for each in DOCS.glob("*.md")), "genindex", "search"])

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", DOCS, place], check=True)
    return place


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_accessible_and_as_wide_as_the_window(
    browser: Any, site: Path, page: str
) -> None:
    for scheme, width in (("light", NARROW), ("dark", WIDE)):
        with visit(browser, site / f"{page}.html", scheme=scheme, width=width) as shown:
            must_be_accessible(shown, width)


def test_search_finds_a_page_without_a_server(browser: Any, site: Path) -> None:
    with visit(browser, site / "index.html") as shown:
        shown.locator("input[name=q]").first.fill("slowloris")
        shown.locator("input[name=q]").first.press("Enter")
        shown.locator("#search-results li a").first.wait_for()
