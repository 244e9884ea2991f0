"""The site: its pages lead to each other, have all of aionet, and are built without a warning."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import aionet
from aionet import testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    ROOT / "aionet" / "README.md",
    *sorted(DOCS.glob("*.md")),
]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|(?:src|srcset|href)=\"([^\"]+)\"")

LOADED = r"<(?:script|link|img|source)\b[^>]*? (?:src|href|srcset)=\"(.*?)\""


def prose(page: Path) -> str:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", lambda code: code[0].translate({91: None, 93: None}), text)


def anchors(page: Path) -> set[str]:
    """Of its headings, as a forge makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def broken(page: Path, root: Path = ROOT) -> list[str]:
    """Links of a page that lead nowhere here; those to elsewhere are not followed."""
    found = []
    for groups in LINK.findall(prose(page)):
        link = "".join(groups)
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or root not in target.parents:
            found.append(f"{link}: there is no such file")
        elif anchor and anchor not in anchors(target):
            found.append(f"{link}: there is no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_anchor_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = DOCS / "architecture.md"
    made = tmp_path / "page.md"
    made.write_text("# A `b`, c\n[x](#a-b-c) [y](#d) [z](no.md) `[w](no)`\n```\n[v](no)\n```\n")
    assert broken(made, tmp_path) == [
        "#d: there is no such heading",
        "no.md: there is no such file",
    ]
    assert "the-rooms-of-compare" in anchors(page)


def test_every_page_stands_in_a_track() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^\]]*\]\(([\w-]+\.md)\)", index, re.MULTILINE)
    assert sorted(listed) == sorted(p.name for p in DOCS.glob("*.md") if p.name != "index.md")
    heads = re.findall(r"^## (.*)$", index, re.MULTILINE)
    assert heads[:3] == ["Measure", "Serve", "Learn"]


def test_the_reference_has_every_public_name() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    told = re.findall(r"^\.\. auto\w+:: (aionet\S*)$", text, re.MULTILINE)
    public = [f"aionet.{name}" for name in aionet.__all__]
    public += [f"aionet.testing.{name}" for name in testing.__all__]
    assert sorted(told) == sorted(public)


def generated() -> list[tuple[Path, str]]:
    made: dict[str, Any] = runpy.run_path(str(DOCS / "generate.py"))
    return list(made["files"]())


def test_what_is_made_of_the_code_is_what_the_code_makes_now() -> None:
    for path, content in generated():
        again = f"{path.relative_to(ROOT)}: python docs/generate.py makes it anew"
        assert path.read_text(encoding="utf-8") == content, again


def test_docstrings_become_what_sphinx_reads() -> None:
    pytest.importorskip("sphinx", reason="pip install '.[docs]'")
    as_rst = runpy.run_path(str(DOCS / "conf.py"))["as_rst"]
    lines = ["A `b`, *args.", "", "c, d: one", "    two", "", "        e()", "", "f: g", "h"]
    assert as_rst(lines) == [
        *("A ``b``, \\*args.", "", "", "-   ``c``, ``d``: one", "    two", ""),
        *("    ::", "", "        e()", "", "", "-   ``f``: g", "", "h"),
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("builder", ["html", "man"])
def test_the_site_is_built_without_a_warning_and_needs_no_network(
    builder: str, tmp_path: Path
) -> None:
    pytest.importorskip("sphinx", reason="pip install '.[docs]'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-b", builder]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if builder == "man":
        text = (tmp_path / "site" / "man1" / "aionet-compare.1").read_text(encoding="utf-8")
        assert ".TH" in text
        assert "compare selftest" in text
        return
    for page in (tmp_path / "site").glob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r"<(?:script|link|img|source)\b[^>]*?(?:src|href|srcset)=\"(.*?)\"", html
        )
        assert [each for each in loaded if re.match(r"(?:https?:)?//", each)] == [], page.name
    assert "tcp" in (tmp_path / "site" / "searchindex.js").read_text(encoding="utf-8")
