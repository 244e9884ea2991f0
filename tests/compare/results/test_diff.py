"""Two runs held against each other: what is called worse, and what is not."""

from __future__ import annotations

import io
import math
import random
import re
from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console

from compare.contract.counts import Counts
from compare.report.changes import markdown, sentence, show_changes
from compare.results.diff import METRICS, Diff, Incomparable, Metric, compare, differences
from compare.results.records import Cell, Handshakes, Host, Percentiles, Round, Run

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


def test_loads_of_more_work_are_cells_of_their_own(made_up_cell, made_up_run) -> None:
    def run(rate: float) -> Run:
        rates = [tuple(1000.0 + number for number in range(10)), (rate, *(rate + 1,) * 9)]
        cells = [
            made_up_cell(model, each, work_us=work)
            for model in ("epoll", "bare-epoll")
            for work, each in zip((0.0, 50.0), rates, strict=True)
        ]
        return made_up_run([each for each in cells if each.model == "epoll" or not each.work_us])

    found = compare(run(500.0), run(250.0), metrics=["ops_per_s"])
    answers = {each.cell: each.answer for each in found.changes}
    assert answers == {"epoll tcp-long 4": "same", "epoll tcp-long 4 50us of work": "worse"}


@pytest.mark.slow
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
    needed = int(re.findall(r"--rounds (\d+): 3 do not tell this much", diff.advice[0])[0])
    assert needed > 3
    assert compare(runs(1, rounds=needed), runs(2, rounds=needed)).answer == "same"


def test_more_rounds_than_anybody_would_wait_for_are_not_advised(runs) -> None:
    diff = compare(runs(1), runs(2), threshold=0.0001)
    assert diff.answer == "unclear"
    assert "on a quieter machine" in diff.advice[0]
    assert diff.advice[0].endswith("ask for less by a larger --threshold than 0.01%")


def test_rounds_that_were_made_are_counted_and_not_those_that_might_have_been(runs) -> None:
    """What ends before would do so again, however many rounds one allows."""

    def allowed(run: Run, rounds: int, **changes: bool) -> Run:
        settings = msgspec.structs.replace(run.settings, rounds=rounds)
        return msgspec.structs.replace(run, settings=settings, **changes)

    pair = [runs(seed, rounds=4) for seed in (1, 2)]
    needed = int(re.findall(r"--rounds (\d+): 4 ", compare(*pair).advice[0])[0])
    early = [allowed(run, 30) for run in pair]
    assert compare(*early).advice[0] == (
        f"run both again with --duration {math.ceil(10 * needed / 4) / 10:g}: after 4 rounds the "
        "models were told from each other, and more would not be made"
    )
    broken_off = [allowed(run, 30, interrupted=True) for run in pair]
    assert f"--rounds {needed}: 4 do not tell" in compare(*broken_off).advice[0]


def test_what_may_be_better_but_is_not_so_beyond_doubt_is_not_called_the_same(runs) -> None:
    found = set()
    for pair in range(5):
        diff = compare(runs(pair), runs(100 + pair, slower={"asyncio": 0.98}), threshold=0.03)
        for each in diff.changes:
            low, high = each.ratio_ci95
            within = low > 1 / 1.03 and high < 1.03
            assert within == (each.answer == "same") or each.answer in ("better", "unclear")
            found.add(each.answer)
    assert {"same", "not worse"} <= found


def test_threshold_is_told_as_it_was_asked_for(runs) -> None:
    diff = compare(runs(1, rounds=100), runs(2, rounds=100), threshold=0.025)
    assert sentence(diff) == "nothing is worse by 2.5% or more"


def test_one_round_of_each_is_a_ratio_without_an_interval_and_unclear(runs) -> None:
    diff = compare(runs(1, rounds=1), runs(2, rounds=1, slower={"epoll": 2.0}))
    assert {(each.ratio_ci95, each.certain) for each in diff.changes} == {(None, None)}
    assert {each.answer for each in diff.changes} == {"unclear"}
    assert diff.answer == "unclear"


def test_certain_is_wider_than_the_interval_and_the_more_so_the_more_is_looked_at(runs) -> None:
    """Of twenty changes without a cause, one would be outside its own interval."""

    def widths(*metrics: Metric) -> tuple[float, float]:
        diff = compare(runs(1), runs(2), metrics=metrics)
        change = next(each for each in diff.changes if each.cell == "epoll tcp-long 4")
        assert change.ratio_ci95 is not None
        assert change.certain is not None
        return tuple(math.log(high / low) for low, high in (change.ratio_ci95, change.certain))

    few, many = widths("ops_per_s"), widths("ops_per_s", "p99", "cpu")
    assert few[0] < few[1] < many[1]
    assert few[0] == pytest.approx(many[0])


def test_runs_by_different_numbers_of_drivers_are_not_compared(runs) -> None:
    base, new = runs(1), runs(2)
    host = Host(worker="tcp://10.0.0.2:1", role="driver", machine=base.machine)
    new = msgspec.structs.replace(new, hosts=[host, host])
    assert differences(base, new) == ["hosts: no and 2 drivers of a cluster"]


@pytest.mark.parametrize("verdict", ["failed", "errors"])
def test_cell_that_fails_now_is_worse_whatever_its_figures(runs, verdict: str) -> None:
    new = runs(2)
    failed = msgspec.structs.replace(new.cells[0], verdict=verdict, reasons=["it died"])
    new = msgspec.structs.replace(new, cells=[failed, *new.cells[1:]])
    diff = compare(runs(1), new)
    assert diff.answer == "worse"
    assert diff.broken == {"epoll tcp-long 4": f"{verdict}: it died"}


@pytest.mark.parametrize("verdict", ["failed", "errors"])
def test_cell_that_never_worked_is_not_compared_and_not_broken(runs, verdict: str) -> None:
    def without(run: Run) -> Run:
        cells = [msgspec.structs.replace(run.cells[0], verdict=verdict), *run.cells[1:]]
        return msgspec.structs.replace(run, cells=cells)

    diff = compare(without(runs(1)), without(runs(2)))
    assert (diff.broken, diff.missing) == ({}, ["epoll tcp-long 4"])
    assert "epoll" not in {each.model for each in diff.changes}


@pytest.mark.parametrize(
    ("served", "told"), [(991, None), (989, "served 989 of 1,000; 100% before")]
)
def test_who_serves_fewer_by_more_than_one_in_a_hundred_is_broken(
    runs, served: int, told: str | None
) -> None:
    def serving(run: Run, served: int) -> Run:
        counts = Counts(attempted=1000, connected=1000, served=served, starved=1000 - served)
        cells = [msgspec.structs.replace(run.cells[0], counts=counts), *run.cells[1:]]
        return msgspec.structs.replace(run, cells=cells)

    diff = compare(serving(runs(1), 1000), serving(runs(2), served))
    assert diff.broken.get("epoll tcp-long 4") == told
    assert (diff.answer == "worse") == (told is not None)


def test_cells_of_one_run_only_are_named(runs) -> None:
    diff = compare(runs(1), runs(2, models=MODELS[1:]))
    assert diff.missing == ["epoll tcp-long 4"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"duration_s": 2.0}, "settings: duration_s 1.0 and 2.0"),
        ({"sizes": [10]}, "settings: sizes [] and [10]"),
        ({"alone": True}, "settings: alone False and True"),
        ({"slice_s": 0.5}, "settings: slice_s 0.02 and 0.5"),
        ({"drivers": 2}, "settings: drivers 1 and 2"),
        ({"server_cores": []}, "settings: 1 and any cores of a server"),
    ],
)
def test_runs_made_otherwise_are_refused_unless_forced(runs, change, told: str) -> None:
    base, new = runs(1), runs(2)
    new = msgspec.structs.replace(new, settings=msgspec.structs.replace(new.settings, **change))
    with pytest.raises(Incomparable, match=re.escape(told)):
        compare(base, new)
    assert compare(base, new, force=True).forced == [told]


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("cpu", "A CPU", "Another CPU"),
        ("python", "CPython 3.11.7", "CPython 3.14.1"),
        ("uvloop", None, "0.21.0"),
    ],
)
def test_runs_of_another_machine_or_other_software_are_refused(
    runs, name: str, ours: str | None, theirs: str
) -> None:
    base, new = runs(1), runs(2)
    machine = msgspec.structs.replace(new.machine, **{name: theirs})
    with pytest.raises(Incomparable, match=f"machine: {name} {ours} and {theirs}"):
        compare(base, msgspec.structs.replace(new, machine=machine))


def test_runs_over_another_tls_are_refused(runs) -> None:
    def over(run: Run, cipher: str) -> Run:
        done = Handshakes(
            version="TLSv1.3",
            cipher=cipher,
            library="OpenSSL 3",
            full=4,
            resumed=0,
            latency_us=Percentiles(),
        )
        cells = [msgspec.structs.replace(each, handshakes=done) for each in run.cells]
        return msgspec.structs.replace(run, cells=cells)

    base, new = over(runs(1), "AES"), over(runs(2), "CHACHA20")
    with pytest.raises(Incomparable, match="TLS: OpenSSL 3 with AES and OpenSSL 3 with CHACHA20"):
        compare(base, new)
    assert differences(base, over(runs(2), "AES")) == []


def test_precision_that_was_asked_for_is_no_difference(runs) -> None:
    """More rounds tell more of the same."""
    base, new = runs(1), runs(2)
    changes = {"rounds": 30, "margin": 0.01, "seed": 8, "precise": True}
    settings = msgspec.structs.replace(new.settings, **changes)
    assert differences(base, msgspec.structs.replace(new, settings=settings)) == []


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


def test_what_became_worse_is_a_line_each_where_it_is_several(runs) -> None:
    slower = dict.fromkeys(MODELS[:-1], 1.5)
    diff = compare(runs(1), runs(2, slower=slower))
    console = Console(file=io.StringIO(), width=500)
    show_changes(diff, console)
    lines = console.file.getvalue().splitlines()
    many = sum(each.answer == "worse" for each in diff.changes)
    assert many == 12
    assert lines[-many - 1] == "regressed:"
    assert lines[-many:][0].startswith("    epoll tcp-long 4 (")
    assert max(map(len, lines)) < 200
    assert sentence(diff).startswith("regressed: epoll tcp-long 4 (ops_per_s), ")


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
