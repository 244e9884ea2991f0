"""The site, of these pages and of aionet's docstrings: `sphinx-build -W docs build/site`.

It needs the extra `docs`, and no network, to be built or to be read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import aionet  # noqa: E402  of this checkout

project = "aionet-compare"
version = release = aionet.__version__
html_show_copyright = False
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["examples", "schema", "starters"]
html_theme = "furo"
html_title = f"{project} {version}"
smartquotes = False
html_copy_source = html_show_sourcelink = False
html_show_search_summary = False  # which asks for each page found, and from disk cannot
myst_heading_anchors = 4  # as a forge has them
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
man_pages = [("commands", project, "measure network services side by side", "", 1)]
man_make_section_directory = True

# Pages that a forge looks for at the top of a repository, and has here a line that leads there.
AT_THE_TOP = ("CHANGELOG", "CONTRIBUTING", "SECURITY")
_ITEM = re.compile(r"^- \[.*?\]\(([\w-]+)\.md\)", re.MULTILINE)
_FIELD = re.compile(r"^(\w+(?:, \w+)*): ")


def tracks(text: str) -> str:
    """The lists of the first page, as what Sphinx makes its navigation of."""
    trees = []
    for section in text.split("\n## ")[1:]:
        pages = "\n".join(_ITEM.findall(section))
        caption = section.partition("\n")[0]
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "\n".join([text, *trees])


def within(page: str, text: str) -> str:
    """The same with its links as they are on the site, where all pages lie beside each other."""
    if page.upper() in AT_THE_TOP:
        text = (ROOT / f"{page.upper()}.md").read_text(encoding="utf-8").replace("](docs/", "](")
    names = "|".join(AT_THE_TOP)
    return re.sub(rf"\]\((?:\.\./)?({names})\.md", lambda link: f"]({link[1].lower()}.md", text)


def as_rst(lines: list[str]) -> list[str]:
    """A docstring as it is written here: `code`, `name: words`, and programs that stand further in.

    What belongs to a name stands four further in than it, and a program four more than the words
    around it, after an empty line.
    """
    found: list[str] = []
    inner, code = 0, False  # how far in the words stand; whether this is a program
    for before, line in zip(["", *lines], lines, strict=False):
        indent = len(line) - len(line.lstrip())
        if not line:
            found.append("")
            continue
        field = _FIELD.match(line)
        if field or indent < inner:
            inner = 0
        if not before and not code and indent >= inner + 4:
            found += [" " * inner + "::", ""]
        code = indent >= inner + 4 and (code or not before)
        if code:
            found.append(line)
            continue
        line = re.sub(r"(?<![`\w:])`([^`]+)`(?![`_])", r"``\1``", line)
        line = re.sub(r"(?<!\*)\*(?=[\w*.])", r"\\*", line)
        if field:
            names = ", ".join(f"``{name}``" for name in field[1].split(", "))
            found += ["", f"-   {names}: {line[field.end() :]}"]
            inner = 4
        else:
            found += [""] if found and found[-1].startswith("-   ") and not indent else []
            found.append(line)
    return found


# What the theme leaves to be done for who has no mouse, or hears the page (WCAG 2.1): what is wider
# than the window is scrolled by keys, and headings and landmarks say what they are.
ACCESSIBLE = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
    '<th class="head"><p></p></th>': "<td></td>",
    '<div id="search-results"></div>': '<h1>Search</h1><div id="search-results"></div>',
}


def accessible(page: str) -> str:
    for theirs, ours in ACCESSIBLE.items():
        page = page.replace(theirs, ours)
    return page


def setup(app: Any) -> None:
    def read(_: Any, page: str, source: list[str]) -> None:
        text = within(page, source[0])
        source[0] = tracks(text) if page == "index" else text

    def told(*given: Any) -> None:
        lines = given[-1]
        lines[:] = as_rst(lines)

    def built(app: Any, error: Exception | None) -> None:
        if error is None and app.builder.format == "html":
            for path in Path(app.outdir).glob("*.html"):
                page = path.read_text(encoding="utf-8")
                path.write_text(accessible(page), encoding="utf-8")

    app.connect("source-read", read)
    app.connect("build-finished", built)
    app.connect("autodoc-process-docstring", told)
