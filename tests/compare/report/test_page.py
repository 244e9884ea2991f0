"""The HTML page, without a browser: what is in it, and what is not."""

from __future__ import annotations

import array
import re
from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import pytest

from compare.driver.histogram import encode, fold
from compare.driver.trace import Lane, Trace
from compare.report.page import Given, page
from compare.report.sentences import amount, answer
from compare.results.records import Cell, Run

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
HISTOGRAM = encode(fold(array.array("Q", range(100_000, 900_000, 7))))
HOSTILE = "</script><script>alert(1)</script>\"'`&<!--\x1b[2J\x00" + "x" * 1_000_000
PICTURE = Trace(
    width_us=100.0,
    lanes=[
        Lane(0, [(-5.0, 20.0), (21.0, 90.0)], 91.0),
        Lane(5, [], -1000.0),
        Lane(7, [(0.0, 10.0)], None),
    ],
)


class Tags(HTMLParser):
    """All elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture
def run(made_up_cell: MakeCell, made_up_run: MakeRun) -> Run:
    rates = (1000.0, 1010.0, 990.0, 1005.0, 995.0)
    return made_up_run(
        [
            made_up_cell("epoll", rates, latency_hdr=HISTOGRAM, trace=PICTURE),
            made_up_cell(
                "uvloop",
                tuple(rate / 2 for rate in rates),
                latency_hdr=HISTOGRAM,
                trace=PICTURE,
            ),
            made_up_cell("blocking", (), verdict="failed", reasons=["it died"], ops_per_s=None),
        ]
    )


def test_page_asks_for_nothing_and_is_a_well_formed_tree(run: Run) -> None:
    tags = parsed(page([Given("run 7", run, "compare run --rounds 5")]))
    for tag, attributes in tags.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "action", "style"} & attributes.keys()
        if "href" in attributes:
            assert (attributes["href"] or "").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert [tag for tag, _ in tags.tags].count("script") == 3


def test_policy_allows_only_what_is_in_the_page(run: Run) -> None:
    tags = parsed(page([Given("run 7", run)]))
    (policy,) = [
        each["content"] or "" for _, each in tags.tags if each.get("http-equiv") is not None
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_ids_are_unique_and_links_lead_somewhere(run: Run) -> None:
    tags = parsed(page([Given("run 7", run)]))
    ids = [each["id"] for _, each in tags.tags if "id" in each]
    assert len(ids) == len(set(ids))
    for _, attributes in tags.tags:
        if "href" in attributes:
            assert (attributes["href"] or "").removeprefix("#") in ids


def test_answer_comes_first_and_every_figure_is_a_table_too(run: Run) -> None:
    text = page([Given("run 7", run)])
    tags = parsed(text)
    assert "epoll is the fastest with 1,000 operations a second." in tags.text
    assert "blocking: failed." in tags.text
    headings = re.findall(r'<h2 id="([^"]+)', text)
    assert headings[:2] == ["answer-title", "matrix-title"]
    plots = [each for _, each in tags.tags if each.get("class") == "plot"]
    assert len(plots) == 7
    assert text.count("</details>") == len(plots)


def test_how_it_was_measured_tells_how_to_do_it_again(run: Run) -> None:
    tags = parsed(page([Given("run 7", run, "compare run --rounds 5")]))
    assert "compare run --rounds 5 --seed 7" in tags.text
    assert "A CPU" in tags.text


def test_hostile_text_stays_text(run: Run) -> None:
    cell = msgspec.structs.replace(
        run.cells[0], model=HOSTILE[:60], verdict="failed", reasons=[HOSTILE]
    )
    hostile = msgspec.structs.replace(run, cells=[cell, run.cells[1]])
    text = page([Given(HOSTILE[:40], hostile, HOSTILE[:40])])
    tags = parsed(text)
    assert [tag for tag, _ in tags.tags].count("script") == 3
    assert "\x1b" not in text
    assert "\x00" not in text
    assert len(text) < 6_000_000


def test_several_runs_stand_side_by_side(run: Run) -> None:
    tags = parsed(page([Given("run 7", run), Given("run 8", run)]))
    assert "epoll (run 7)" in tags.text
    assert "epoll (run 8)" in tags.text


def test_interrupted_run_says_so(run: Run) -> None:
    tags = parsed(page([Given("run 7", msgspec.structs.replace(run, interrupted=True))]))
    assert "This run was interrupted" in tags.text


def test_one_cell_alone_has_a_sentence(made_up_cell: MakeCell) -> None:
    assert answer([made_up_cell("epoll", (1234567.0,))]) == [
        "epoll does 1.23 million operations a second."
    ]
    assert answer([]) == ["Nothing was measured."]


def test_amounts_are_rounded_as_people_say_them() -> None:
    assert [amount(each) for each in (None, 0.1234, 99.99, 1234.5, 2e6)] == [
        "-",
        "0.123",
        "100",
        "1,230",
        "2.00 million",
    ]
