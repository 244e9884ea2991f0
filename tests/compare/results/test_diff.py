"""Two runs held against each other: what is called worse, and what is not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import msgspec
import pytest

from compare.driver.probe import Work
from compare.report.changes import markdown, sentence
from compare.results.diff import METRICS, Diff, Incomparable, compare, differences
from compare.results.records import Cell, Host, Percentiles, Round, Run
from compare.results.statistics import least_rounds

MakeRun = Callable[..., Run]
MODELS = ("epoll", "asyncio", "uvloop", "threaded", "bare-epoll")
USUAL = {"epoll": 150e3, "asyncio": 120e3, "uvloop": 150e3, "threaded": 90e3, "bare-epoll": 155e3}
ROUNDS = 10
NOISE = 0.02


@pytest.fixture
def runs(made_up_cell, made_up_run, made_up_round):
    """Makes runs of all models on a machine that moves all of them together, round by round."""

    def runs(
        seed: int,
        *,
        slower: dict[str, float] | None = None,
        drift: float = 1.0,
        rounds: int = ROUNDS,
        models: tuple[str, ...] = MODELS,
    ) -> Run:
        source = random.Random(seed)
        common = [drift * math.exp(source.gauss(0, 0.08)) for _ in range(rounds)]
        cells = []
        for model in models:
            by = (slower or {}).get(model, 1.0)
            made = [_round(made_up_round, USUAL[model] / by * each, source) for each in common]
            cells.append(made_up_cell(model, (), rounds=made, ops_per_s=made[0].ops_per_s))
        return made_up_run(cells, rounds=rounds)

    return runs


def _round(made_up_round: Callable[..., Round], rate: float, source: random.Random) -> Round:
    noisy = rate * math.exp(source.gauss(0, NOISE))
    each = made_up_round(noisy, latency_us=Percentiles(p50=1e8 / noisy, p99=2e8 / noisy))
    server = msgspec.structs.replace(each.server, cpu_us_per_op=1e6 / noisy)
    return msgspec.structs.replace(each, server=server)


def test_same_code_is_called_worse_once_in_twenty_at_most(runs) -> None:
    answers = [compare(runs(2 * pair), runs(2 * pair + 1, drift=0.9)).answer for pair in range(40)]
    assert answers.count("worse") <= 2
    assert answers.count("same") >= 30


def test_tenth_slower_is_called_worse_and_named_whatever_the_machine_does(runs) -> None:
    for pair in range(20):
        drift = (0.8, 1.0, 1.25)[pair % 3]
        diff = compare(runs(pair), runs(100 + pair, slower={"asyncio": 1.11}, drift=drift))
        assert diff.answer == "worse"
        worse = {each.model for each in diff.changes if each.answer == "worse"}
        assert worse == {"asyncio"}
        assert "asyncio tcp-long 4 (ops_per_s)" in sentence(diff)


def test_tenth_faster_is_called_better_and_nothing_is_worse(runs) -> None:
    diff = compare(runs(1), runs(2, slower={"uvloop": 0.85}))
    assert diff.answer in ("same", "unclear")
    assert {each.model for each in diff.changes if each.answer == "better"} == {"uvloop"}


def test_all_of_ours_slower_shows_against_the_reference_servers(runs) -> None:
    slower = dict.fromkeys(MODELS[:-1], 1.15)
    diff = compare(runs(1), runs(2, slower=slower))
    assert diff.control == "reference servers"
    assert {each.model for each in diff.changes if each.answer == "worse"} == set(slower)


def test_all_slower_without_reference_servers_is_unclear_and_says_what_would_tell(runs) -> None:
    models = MODELS[:-1]
    slower = dict.fromkeys(models, 1.3)
    diff = compare(runs(1, models=models), runs(2, models=models, slower=slower))
    assert diff.control == "other cells"
    assert diff.answer == "unclear"
    assert any("bare-epoll" in words for words in diff.advice)
    assert diff.drift["ops_per_s"] == pytest.approx(1 / 1.3, rel=0.1)


def test_too_few_rounds_are_unclear_and_the_number_that_would_tell_is_said(runs) -> None:
    diff = compare(runs(1, rounds=3), runs(2, rounds=3))
    assert diff.answer == "unclear"
    assert f"--rounds {least_rounds(len(diff.changes))}" in diff.advice[0]


def test_runs_by_different_numbers_of_drivers_are_not_compared(runs) -> None:
    base, new = runs(1), runs(2)
    host = Host(worker="tcp://10.0.0.2:1", role="driver", machine=base.machine)
    new = msgspec.structs.replace(new, hosts=[host, host])
    assert differences(base, new) == ["hosts: no and 2 drivers of a cluster"]


def _slowed(run: Run, which: Callable[[int, Cell], bool]) -> Run:
    """The same, but that the machine did three quarters of its work in those rounds."""

    def round_of(each: Round, *, slow: bool) -> Round:
        factor = 0.75 if slow else 1.0
        server = msgspec.structs.replace(
            each.server, cpu_us_per_op=(each.server.cpu_us_per_op or 0) / factor
        )
        return msgspec.structs.replace(
            each,
            ops_per_s=each.ops_per_s * factor,
            server=server,
            work=Work(300_000, 300_000, round(900_000 / factor**2)),
        )

    cells = [
        msgspec.structs.replace(
            cell,
            rounds=[round_of(each, slow=which(n, cell)) for n, each in enumerate(cell.rounds)],
        )
        for cell in run.cells
    ]
    return msgspec.structs.replace(run, cells=cells)


def test_rounds_on_a_slower_machine_are_left_out_where_enough_are_not(runs) -> None:
    base = _slowed(runs(1, rounds=16), lambda number, cell: number % 2 == 0)
    new = _slowed(runs(2, rounds=16), lambda number, cell: number < 6 and cell.model != "uvloop")
    diff = compare(base, new, metrics=["ops_per_s", "cpu"])
    assert diff.left_out == (8 * 5 + 6 * 4, 2 * 16 * 5)
    assert all(0.97 < each.ratio < 1.03 for each in diff.changes)
    slower = runs(2, rounds=16, slower={"epoll": 1.11})
    diff = compare(base, _slowed(slower, lambda number, cell: number < 6))
    assert {each.model for each in diff.changes if each.answer == "worse"} == {"epoll"}


def test_all_rounds_count_where_too_few_were_at_full_speed(runs) -> None:
    base = _slowed(runs(1), lambda number, cell: number > 3)
    diff = compare(base, _slowed(runs(2), lambda number, cell: False))
    assert diff.left_out == (0, 2 * ROUNDS * 5)


def test_cell_that_fails_now_is_worse_whatever_its_figures(runs) -> None:
    new = runs(2)
    failed = msgspec.structs.replace(new.cells[0], verdict="failed", reasons=["it died"])
    new = msgspec.structs.replace(new, cells=[failed, *new.cells[1:]])
    diff = compare(runs(1), new)
    assert diff.answer == "worse"
    assert diff.broken == {"epoll tcp-long 4": "failed: it died"}


def test_cells_of_one_run_only_are_named(runs) -> None:
    diff = compare(runs(1), runs(2, models=MODELS[1:]))
    assert diff.missing == ["epoll tcp-long 4"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"duration_s": 2.0}, "settings: duration_s 1.0 and 2.0"),
        ({"sizes": {"tcp-long": 10}}, "settings: size of tcp-long 1000 and 10"),
        ({"server_core": None}, "settings: pinned to cores, and not"),
    ],
)
def test_runs_made_otherwise_are_refused_unless_forced(runs, change, told: str) -> None:
    base, new = runs(1), runs(2)
    new = msgspec.structs.replace(new, settings=msgspec.structs.replace(new.settings, **change))
    with pytest.raises(Incomparable, match=told):
        compare(base, new)
    assert compare(base, new, force=True).forced == [told]


def test_runs_of_another_machine_are_refused(runs) -> None:
    base, new = runs(1), runs(2)
    machine = msgspec.structs.replace(new.machine, cpu="Another CPU")
    with pytest.raises(Incomparable, match="machine: cpu A CPU and Another CPU"):
        compare(base, msgspec.structs.replace(new, machine=machine))


def test_one_cell_alone_is_compared_as_it_was_measured(runs) -> None:
    diff = compare(runs(1, models=("epoll",)), runs(2, models=("epoll",), drift=0.5))
    assert diff.control == "nothing"
    assert diff.answer == "worse"
    assert any("put bare-epoll beside it" in words for words in diff.advice)


def test_metric_that_a_cell_lacks_is_left_out(runs, made_up_cell: Callable[..., Cell]) -> None:
    def without_p99(run: Run) -> Run:
        cells = [
            msgspec.structs.replace(
                cell,
                rounds=[
                    msgspec.structs.replace(each, latency_us=Percentiles()) for each in cell.rounds
                ],
            )
            for cell in run.cells
        ]
        return msgspec.structs.replace(run, cells=cells)

    diff = compare(without_p99(runs(1)), without_p99(runs(2)))
    assert {each.metric for each in diff.changes} == METRICS.keys() - {"p99"}


def test_markdown_obeys_nobody() -> None:
    diff = Diff(
        answer="worse",
        threshold=0.05,
        forced=[],
        control="nothing",
        drift={},
        changes=[],
        broken={"mine tcp-long 4": "failed: <script>|`x`\x1b[2J\n# title"},
        missing=[],
        advice=[],
    )
    text = markdown(diff)
    assert "\\<script\\>\\|" in text
    assert "\x1b" not in text
    assert "\n#" not in text


def test_least_rounds_are_what_the_rank_test_needs() -> None:
    assert [least_rounds(each) for each in (1, 6, 12, 60)] == [4, 5, 6, 7]
