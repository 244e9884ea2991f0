"""A page in a real browser: Debian's chromium, from disk, with the network off.

Who takes this is skipped where there is no browser, or none of what drives it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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

NARROW, WIDE = 375, 1280
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@contextlib.contextmanager
def visit(browser: Any, path: Path, *, scheme: str = "light", width: int = WIDE) -> Iterator[Any]:
    """The page, which in the end must neither have said anything nor have asked for anything."""
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
    )
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("file:")] == []


def must_be_accessible(page: Any, width: int) -> None:
    """As axe-core has it; and no wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    results = axe.Axe().run(page, options={"preload": False})  # it would ask for style sheets
    assert results.violations_count == 0, results.generate_report()
