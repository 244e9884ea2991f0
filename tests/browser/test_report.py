"""The report in a real browser."""

from __future__ import annotations

import array
import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from chromium import NARROW, WIDE, must_be_accessible, playwright, visit
from made_up_records import made_up_profile

from compare.contract.counts import Counts
from compare.contract.histogram import encode, fold
from compare.contract.outcome import Slice
from compare.contract.trace import Lane, Trace
from compare.host.limits import limits_here
from compare.host.machine import look
from compare.models.matrix import WORKLOADS
from compare.report.page import Given, page
from compare.results.ranking import rank_all
from compare.results.records import (
    Cell,
    Driver,
    Percentiles,
    Round,
    Run,
    Server,
    Settings,
    Verdict,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
MODELS = ("blocking", "threaded", "epoll", "asyncio", "uvloop")
HOSTILE = "</script><script>document.title='taken'</script>\"'`&<!--\x1b[2J" + "x" * 1_000_000


def made_up(models: tuple[str, ...], connections: tuple[int, ...]) -> Run:
    """A run as large as asked for, with everything that a page shows."""
    source = random.Random(7)
    workloads = ("udp-echo", "tcp-short", "tcp-long", "chat")
    cells = []
    for workload in workloads:
        for number in connections:
            for model in models:
                rate = source.uniform(10_000, 150_000)
                latencies = array.array(
                    "Q", (int(source.lognormvariate(13, 0.5)) for _ in range(20_000))
                )
                cells.append(_cell(model, workload, number, rate, encode(fold(latencies))))
    return Run(
        started="2026-01-02T03:04:05+00:00",
        took_s=160.0,
        measured_s=130.0,
        interrupted=False,
        machine=look(),
        limits=limits_here(),
        settings=Settings(
            models=list(models),
            workloads=list(workloads),
            connections=list(connections),
            rounds=5,
            duration_s=1.0,
            warmup_s=2.0,
            seed=7,
            server_cores=[0],
            driver_core=1,
        ),
        cells=cells,
        comparisons=rank_all(cells),
    )


def _slice(rate: float) -> Slice:
    operations = int(rate * 0.04)
    return Slice(
        window_ns=40_000_000,
        operations=operations,
        driver_cpu_ns=36_000_000,
        driver_wait_ns=0,
        turn_ns=45_000_000,
        turn_operations=operations,
        cpu_ns=40_000_000,
    )


def _cell(model: str, workload: str, connections: int, rate: float, histogram: str) -> Cell:
    served = 1 if model == "blocking" else connections
    counts = Counts(
        attempted=connections,
        connected=connections,
        served=served,
        starved=connections - served,
    )
    server = Server(cpu_us_per_op=1e6 / rate, rss_kb=25_000, pss_kb=20_000)
    rounds = [
        Round(
            number=number,
            ops_per_s=rate * (1 + 0.01 * number),
            operations=int(rate),
            window_s=1.0,
            slices=[_slice(rate * (1 + 0.01 * number)) for _ in range(25)],
            warmup_s=0.3,
            settled=True,
            latency_us=Percentiles(p50=400.0, p90=600.0, p99=900.0, p99_9=2000.0, max=9000.0),
            littles_law=1.0,
            counts=counts,
            errors={},
            server=server,
            driver=Driver(cpu_fraction=0.9, wait_fraction=0.0),
            messages=[],
        )
        for number in range(5)
    ]
    verdicts: list[Verdict] = ["driver-bound"] if model == "threaded" else ["ok"]
    spans = [(100.0 * number, 100.0 * number + 90) for number in range(10)]
    return Cell(
        model=model,
        workload=workload,
        connections=connections,
        size=WORKLOADS[workload].size,
        verdict=verdicts[0],
        verdicts=verdicts,
        reasons=["the driver used 99% of its core"] if model == "threaded" else [],
        ops_per_s=rate * 1.02,
        ops_per_s_ci95=(rate, rate * 1.04),
        cpu_us_per_op_ci95=(0.98e6 / rate, 1.02e6 / rate),
        latency_us=rounds[0].latency_us,
        counts=counts,
        server=server,
        rounds=rounds,
        latency_hdr=histogram,
        profile=made_up_profile() if model == "epoll" else None,
        trace=Trace(
            1000.0,
            [
                Lane(lane, spans if lane < served else [], 990.0 if lane < served else -5000.0)
                for lane in range(12)
            ],
        ),
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page([Given("run 7", made_up(MODELS, (64,)), "compare run")]))
    return path


Open = Callable[..., object]


@pytest.fixture
def shown(browser) -> Iterator[Open]:
    """Opens a page, and fails if it said anything or asked for anything."""
    with contextlib.ExitStack() as stack:
        yield lambda path, **how: stack.enter_context(visit(browser, path, **how))


def draw_all(opened) -> None:
    opened.evaluate("document.querySelectorAll('.made').forEach(each => each.open = true)")
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    undrawn = opened.locator(".plot:not(:has(.main-svg))")
    playwright.expect(undrawn).to_have_count(0, timeout=30_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_page_is_accessible_and_as_wide_as_the_window(shown, report, scheme, width) -> None:
    opened = shown(report, scheme=scheme, width=width)
    draw_all(opened)
    must_be_accessible(opened, width)


def test_matrix_and_cells_are_seen_whole_on_a_laptop(shown, report) -> None:
    opened = shown(report, width=1200)
    for table in (".heat", "#cells"):
        hidden = opened.eval_on_selector(
            table, "table => table.scrollWidth - table.parentElement.clientWidth"
        )
        assert hidden <= 0, table
    lines = opened.eval_on_selector_all("#cells tbody tr", "rows => rows.map(r => r.clientHeight)")
    assert max(lines) < 70
    opened.locator("#cells details summary").first.click()
    opened.get_by_text("the driver used 99% of its core").locator("visible=true").first.wait_for()


def test_ticks_of_latencies_say_of_what_they_are(shown, report) -> None:
    opened = shown(report)
    draw_all(opened)
    ticks = opened.locator(".plot[id^=latency]").first.locator(".ytick text").all_text_contents()
    numbers = [float(each.replace(",", "")) for each in ticks]
    assert len(numbers) > 1
    assert numbers == sorted(numbers)


def test_flame_graph_is_opened_from_its_cell_and_looked_into(shown, report) -> None:
    opened = shown(report)
    assert opened.locator(".made[open]").count() == 0
    opened.locator("#cells a", has_text="profile").first.click()
    flame = opened.locator(".made[open] .plot")
    bars = flame.locator(".slicetext:visible")
    bars.first.wait_for()
    assert {*bars.all_text_contents()} == {"epoll", "run", "<lambda>", "send", "epoll_wait"}

    def click(name: str) -> None:
        flame.locator("g.slice", has_text=name).first.click(force=True)

    click("<lambda>")
    playwright.expect(flame.locator(".slicetext", has_text="epoll_wait")).to_have_count(0)
    click("<lambda>")  # which is the top now
    flame.locator(".slicetext", has_text="epoll_wait").first.wait_for()


def test_figures_are_drawn_when_they_come_near(shown, report) -> None:
    opened = shown(report)
    first = opened.locator(".plot").first
    first.scroll_into_view_if_needed()
    first.locator(".main-svg").first.wait_for()


def test_table_is_sorted_by_a_column_with_the_keyboard_too(shown, report) -> None:
    opened = shown(report)
    head = opened.locator("#cells th", has_text="operations/s")

    def rates() -> list[float]:
        keys = opened.eval_on_selector_all(
            "#cells tbody tr", "rows => rows.map(row => row.cells[3].dataset.key)"
        )
        return [float(key) for key in keys]

    head.locator("button").click()
    assert rates() == sorted(rates(), reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    opened.keyboard.press("Enter")
    assert rates() == sorted(rates())
    assert head.get_attribute("aria-sort") == "ascending"


def test_table_is_filtered(shown, report) -> None:
    opened = shown(report)
    visible = opened.locator("#cells tbody tr:visible")
    assert visible.count() == 20
    opened.fill("#find", "DRIVER USED 99")
    assert visible.count() == 4
    assert opened.inner_text("#found") == "4 of 20 cells"
    opened.fill("#find", "")
    opened.select_option("#verdict", "driver-bound")
    assert visible.count() == 4
    opened.select_option("#load", "chat, 64 members")
    assert visible.count() == 1


def test_theme_is_chosen_and_the_figures_follow(shown, report) -> None:
    opened = shown(report)
    draw_all(opened)

    def looks() -> tuple[str, str]:
        ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        words = opened.evaluate(
            "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
        )
        return ground, words

    light = looks()
    opened.click("#theme")
    opened.click("#theme")
    assert opened.inner_text("#theme") == "Theme: dark"
    dark = looks()
    assert dark[0] != light[0]
    assert dark[1] != light[1]


def test_hostile_text_does_nothing(shown, tmp_path: Path) -> None:
    run = made_up(MODELS[:2], (64,))
    cell = msgspec.structs.replace(
        run.cells[0], model=HOSTILE[:80], verdict="failed", reasons=[HOSTILE]
    )
    best = msgspec.structs.replace(run.cells[1], model=HOSTILE[:81])
    cells = [cell, best, *run.cells[2:], made_up(MODELS[2:3], (64,)).cells[0]]
    path = tmp_path / "hostile.html"
    hostile = msgspec.structs.replace(run, cells=cells, comparisons=rank_all(cells))
    path.write_text(page([Given(HOSTILE[:60], hostile, HOSTILE[:60])]))
    opened = shown(path)
    draw_all(opened)
    assert opened.title() != "taken"


@pytest.mark.parametrize(("connections", "megabytes"), [((64,), 6), (tuple(range(1, 16)), 12)])
def test_page_of_20_and_of_300_cells_is_light(
    shown, tmp_path: Path, connections, megabytes
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page([Given("run 7", made_up(MODELS, connections), "compare run")]))
    assert path.stat().st_size < megabytes * 1e6
    assert (
        shown(path).inner_text("#found")
        == f"{len(connections) * 20} of {len(connections) * 20} cells"
    )
