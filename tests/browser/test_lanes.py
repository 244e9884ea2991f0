"""The page of `compare see` in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import NARROW, WIDE, must_be_accessible, visit

from compare.report.lanes_page import page
from compare.see.play import all_states

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lanes") / "seen.html"
    path.write_text(page(all_states(lambda row: None)), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_lanes_are_accessible_and_the_page_is_as_wide_as_the_window(
    browser: Any, lanes: Path, scheme: str, width: int
) -> None:
    with visit(browser, lanes, scheme=scheme, width=width) as shown:
        assert shown.locator("td.ESTABLISHED").count() > 5
        must_be_accessible(shown, width)
