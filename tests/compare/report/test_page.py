"""The HTML page, without a browser: what is in it, and what is not."""

from __future__ import annotations

import array
import re
from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import pytest

from compare.contract.histogram import encode, fold
from compare.contract.trace import Lane, Trace
from compare.report.page import Given, page
from compare.report.sentences import amount
from compare.results.ranking import rank_all
from compare.results.records import Cell, Round, Run, Server

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
                tuple(rate * 0.6 for rate in rates),
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
    assert "blocking: failed: it died." in tags.text
    headings = re.findall(r'<h2 id="([^"]+)', text)
    assert headings[:2] == ["answer-title", "matrix-title"]
    plots = [each for _, each in tags.tags if each.get("class") == "plot"]
    assert len(plots) == 8
    assert text.count(" as a table</summary>") == len(plots)


def test_how_it_was_measured_tells_how_to_do_it_again(run: Run) -> None:
    tags = parsed(page([Given("run 7", run, "compare run --rounds 5")]))
    assert "compare run --rounds 5 --seed 7" in tags.text
    assert "A CPU" in tags.text


def test_hostile_text_stays_text(run: Run) -> None:
    best, behind, failed = run.cells
    cells = [
        msgspec.structs.replace(best, model=HOSTILE[:60]),
        behind,
        msgspec.structs.replace(failed, model=HOSTILE[:61], reasons=[HOSTILE]),
    ]
    hostile = msgspec.structs.replace(run, cells=cells, comparisons=rank_all(cells))
    text = page([Given(HOSTILE[:40], hostile, HOSTILE[:40])])
    tags = parsed(text)
    assert [tag for tag, _ in tags.tags].count("script") == 3
    assert "\x1b" not in text
    assert "\x00" not in text
    assert len(text) < 6_000_000


def test_several_runs_stand_side_by_side_and_each_has_its_own_best(run: Run) -> None:
    tags = parsed(page([Given("run 7", run), Given("run 8", run)]))
    for name in ("run 7", "run 8"):
        assert f"epoll ({name}) is the fastest with 1,000 operations a second." in tags.text
        assert f"behind epoll ({name}) by 40 %" in tags.text


def test_row_says_where_a_cell_stands_its_memory_and_all_its_verdicts(run: Run) -> None:
    verdicts = {"verdict": "throttled", "verdicts": ["throttled", "driver-bound"]}
    server = Server(cpu_us_per_op=5.0, rss_kb=90 * 1024, pss_kb=33 * 1024)
    cell = msgspec.structs.replace(run.cells[1], server=server, reasons=["a reason"], **verdicts)
    shown = msgspec.structs.replace(run, cells=[run.cells[0], cell])
    rows = re.findall(r"<tr.*?</tr>", page([Given("run 7", shown)]), re.DOTALL)
    (row,) = (each for each in rows if "throttled" in each)
    words = re.sub(r"\s*<[^>]*>\s*", "|", row)
    assert "|behind epoll by 40 %|" in words
    assert "|33|" in words
    assert "|throttled; driver-bound|a reason|" in words


def test_matrix_shows_ratios_that_are_paired(
    made_up_cell: MakeCell, made_up_run: MakeRun, made_up_round: Callable[..., Round]
) -> None:
    """Not those of the means, which are of other minutes where one has more rounds."""
    rounds = [made_up_round(500.0, number=1), made_up_round(10.0, number=2)]
    cells = [
        made_up_cell("epoll", (1000.0,)),
        made_up_cell("uvloop", (), rounds=rounds, ops_per_s=255.0),
    ]
    text = page([Given("run 7", made_up_run(cells))])
    assert re.findall(r'<td class="heat\d">([^<]+)</td>', text) == ["1.00", "0.50"]


def test_interrupted_run_says_so(run: Run) -> None:
    tags = parsed(page([Given("run 7", msgspec.structs.replace(run, interrupted=True))]))
    assert "This run was interrupted" in tags.text


def test_amounts_are_rounded_as_people_say_them() -> None:
    assert [amount(each) for each in (None, 0.1234, 99.99, 1234.5, 2e6)] == [
        "-",
        "0.123",
        "100",
        "1,230",
        "2.00 million",
    ]
