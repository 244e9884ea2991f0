"""The page of `compare see` in a real browser, from disk, with the network off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compare.report.lanes_page import page
from compare.see.play import all_states

playwright = pytest.importorskip("playwright.sync_api", reason="pip install '.[browser]'")
try:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install '.[browser]'"
    )
except UnicodeDecodeError:  # it reads its script as the locale has it
    pytest.skip("axe-playwright-python takes a UTF-8 locale", allow_module_level=True)
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("chromium is not installed: apt-get install chromium", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lanes") / "seen.html"
    path.write_text(page(all_states(lambda row: None)), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_lanes_are_accessible_and_the_page_is_as_wide_as_the_window(
    lanes: Path, scheme: str, width: int
) -> None:
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(
            color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
        )
        opened.on("console", lambda message: said.append(message.text))
        opened.goto(lanes.as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.locator("td.ESTABLISHED").count() > 5
        found = axe.Axe().run(opened)
        assert found.violations_count == 0, found.generate_report()
    assert said == []
