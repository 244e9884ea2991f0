"""The script that answers: what it fills in, keeps, leaves out and goes on with."""

from __future__ import annotations

import datetime
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import answers_script
import msgspec
import pytest
from made_up_records import made_up_cell, made_up_idle, made_up_pace, made_up_run

from compare.results.breakeven import break_evens
from compare.results.compact import compact
from compare.results.records import Cell, Run
from compare.results.scalability import scalabilities

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "questions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def answers() -> ModuleType:
    return answers_script.load()


def cells(models: Sequence[str], **loads: Sequence[Any]) -> list[Cell]:
    """Of each model under each of all loads."""
    return [
        made_up_cell(
            model, (1000.0 + number, 1010.0, 990.0), **dict(zip(loads, values, strict=True))
        )
        for values in product(*loads.values())
        for number, model in enumerate(models)
    ]


BOTH = ("asyncio", "uvloop")
STREAMS = ("asyncio-streams", "uvloop-streams")
# What the commands of a question would measure.
MADE_UP: dict[str, Callable[[], list[list[Cell]]]] = {
    "loop": lambda: [cells(("threaded", *BOTH), work_us=(0.0, 20.0, 100.0, 500.0))],
    "threads": lambda: [
        cells(("threaded", *BOTH)),
        cells(("threaded", "threadpool", *BOTH), workload=("tcp-short",)),
        cells(("threaded", *BOTH), wait_us=(5000.0,), connections=(64, 1000)),
    ],
    "free": lambda: [
        cells(("3.13", "3.13t", "3.14", "3.14t", "3.14-processes"), cores=(1, 2)),
        cells(
            [
                f"{model}@{label}"
                for model in ("threaded", "asyncio", "asyncio-threads", "asyncio-workers")
                for label in ("3.14", "3.14t")
            ],
            cores=(1, 2),
        ),
        cells(("threaded@3.14", "threaded@3.14t", "asyncio@3.14", "asyncio@3.14t")),
    ],
    "tls": lambda: [
        cells((*BOTH, *STREAMS), tls=("none", "full")),
        cells((*BOTH, *STREAMS), tls=("none", "full", "resumed"), workload=("tcp-short",)),
    ],
    "loops": lambda: [
        [
            *cells((*BOTH, "rloop", "aiofastnet", *STREAMS)),
            made_up_cell("zloop", (), verdict="unsupported", ops_per_s=None),
        ]
    ],
    "frameworks": lambda: [
        cells((*BOTH, *STREAMS, "twisted", "gevent", "trio", "tornado", "anyio"))
    ],
    "cores": lambda: [cells(("threaded", "asyncio", "asyncio-workers"), cores=(1, 2))],
    "size": lambda: [cells(BOTH, size=(100, 1000, 16000, 64000))],
    "python": lambda: [
        cells(
            [f"{model}@3.{minor}" for model in ("epoll", "asyncio") for minor in (11, 12, 13, 14)]
        )
    ],
    "slow": lambda: [
        cells(("threaded", *BOTH), slow_share=(0.0, 0.01)),
        cells(("loop", "thread", "process")),
    ],
    "streams": lambda: [cells((*BOTH, *STREAMS))],
    "load": lambda: [
        [
            msgspec.structs.replace(cell, loop="open", pace=made_up_pace(1000.0))
            for cell in cells(("threaded", *BOTH), share=(0.5, 0.7, 0.9))
        ],
        [
            msgspec.structs.replace(cell, loop="open", pace=made_up_pace(1000.0))
            for cell in cells(("threaded", *BOTH))
        ],
    ],
    "idle": lambda: [
        [
            msgspec.structs.replace(cell, held=made_up_idle(cell.idle))
            for cell in cells(("threaded", "epoll", *BOTH), idle=(1000, 10_000))
        ]
    ],
    "udp": lambda: [cells(BOTH, workload=("udp-echo",), connections=(64, 256, 1024))],
}


def made_up(name: str) -> list[Run]:
    return [
        msgspec.structs.replace(
            made_up_run(each), break_evens=break_evens(each), scalability=scalabilities(each)
        )
        for each in MADE_UP[name]()
    ]


def keep(folder: Path, answers: ModuleType, name: str, runs: Sequence[Run]) -> list[Path]:
    (folder / "results").mkdir(parents=True, exist_ok=True)
    paths = []
    for each, run_name in zip(runs, answers.run_names(PAGE, name), strict=True):
        paths.append(folder / "results" / answers.file_name(each, run_name))
        paths[-1].write_bytes(compact(each))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(DOCS / "questions.md", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MADE_UP)
def test_runs_of_a_question_fill_all_its_places_and_no_others(
    answers: ModuleType, folder: Path, name: str, capsys: Any
) -> None:
    keep(folder, answers, name, made_up(name))
    answers.write(folder, [*answers.QUESTIONS])
    assert capsys.readouterr().err == ""
    page = (folder / "questions.md").read_text(encoding="utf-8")
    before = answers._FIGURE.findall(PAGE)
    for (found, figure, text), (_, _, old) in zip(
        answers._FIGURE.findall(page), before, strict=True
    ):
        if found != name:
            assert text == old
        elif figure == "when":
            assert text.endswith("1 January 2024")
        else:
            assert answers.EMPTY not in text, figure
    if answers.QUESTIONS[name].drawn:
        assert (folder / "images" / f"questions-{name}.svg").is_file()
    answers.write(folder, [name])
    assert (folder / "questions.md").read_text(encoding="utf-8") == page


def test_figure_that_a_run_does_not_have_is_told_and_the_old_one_stays(
    answers: ModuleType, folder: Path, capsys: Any
) -> None:
    keep(folder, answers, "streams", [made_up_run(cells(BOTH))])
    answers.write(folder, ["streams"])
    assert (folder / "questions.md").read_text(encoding="utf-8") == PAGE
    assert "there is no figure of asyncio-streams" in capsys.readouterr().err


def test_latencies_of_what_could_not_be_done_in_time_are_no_figures(
    answers: ModuleType, folder: Path, capsys: Any
) -> None:
    run, places = made_up("slow")
    late = msgspec.structs.replace(run.cells[1], verdicts=["rate-unmet"])
    late_run = msgspec.structs.replace(run, cells=[*run.cells, late])
    keep(folder, answers, "slow", [late_run, places])
    answers.write(folder, ["slow"])
    assert (folder / "questions.md").read_text(encoding="utf-8") == PAGE
    assert "asyncio did not do what was due" in capsys.readouterr().err


def test_file_that_is_no_run_is_told_and_the_old_figures_stay(
    answers: ModuleType, folder: Path, capsys: Any
) -> None:
    (path,) = keep(folder, answers, "streams", made_up("streams"))
    path.write_text("{")
    answers.write(folder, ["streams"])
    assert (folder / "questions.md").read_text(encoding="utf-8") == PAGE
    assert "is not a run that compare wrote" in capsys.readouterr().err


# Measuring.


@pytest.fixture
def instrument(answers: ModuleType, folder: Path, tmp_path_factory: Any) -> Any:
    """Its `compare` writes what is made up now, or ends with a status; `asked` is what it was."""

    class Instrument(answers.Instrument):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            scratch = tmp_path_factory.mktemp("scratch")
            super().__init__(folder, scratch, quick=False, prefix=None)
            self.asked: list[Sequence[str]] = []
            self.status = 0
            self.fails_at = self.interrupted_at = 0  # of the runs, counted from 1
            self.machine = answers.look()

        def _compare(self, words: Sequence[str]) -> int:
            self.asked.append(words)
            path = Path(words[words.index("--json") + 1])
            if words[0] == "export":
                run = msgspec.json.decode(Path(words[1]).read_bytes(), type=Run)
                path.write_bytes(compact(run))
                return 0
            runs = sum(each[0] != "export" for each in self.asked)
            if runs == self.interrupted_at:
                raise KeyboardInterrupt
            if runs == self.fails_at:
                return 1
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            run = made_up("udp" if "udp-echo" in words else "streams")[0]
            run = msgspec.structs.replace(run, started=now, machine=self.machine)
            path.write_bytes(msgspec.json.encode(run))
            return self.status

    return Instrument()


def measure(answers: ModuleType, instrument: Any, folder: Path, **more: Any) -> list[str]:
    failed: list[str] = answers.measure_all(
        instrument, folder, ["streams"], **{"again": False} | more
    )
    return failed


def test_what_is_less_than_a_day_old_is_made_again_only_if_asked(
    answers: ModuleType, instrument: Any, folder: Path
) -> None:
    assert measure(answers, instrument, folder) == []
    (command,) = answers.commands(PAGE, "streams")
    assert [*instrument.asked[0]][:-2] == shlex.split(command)[1:]
    many = len(instrument.asked)
    assert measure(answers, instrument, folder) == []
    assert len(instrument.asked) == many
    assert measure(answers, instrument, folder, again=True) == []
    assert len(instrument.asked) == 2 * many
    assert len([*(folder / "results").iterdir()]) == 1


def test_run_that_fails_is_told_and_the_old_figures_stay_with_their_date(
    answers: ModuleType, instrument: Any, folder: Path, capsys: Any
) -> None:
    keep(folder, answers, "streams", made_up("streams"))
    answers.write(folder, ["streams"])
    before = (folder / "questions.md").read_text(encoding="utf-8")
    assert "1 January 2024" in before
    instrument.status = 1
    assert measure(answers, instrument, folder) == ["streams"]
    assert "failed: compare ended with 1" in capsys.readouterr().err
    assert (folder / "questions.md").read_text(encoding="utf-8") == before
    instrument.status = 0
    assert measure(answers, instrument, folder) == []
    assert "1 January 2024" not in (folder / "questions.md").read_text(encoding="utf-8")


def test_another_days_run_of_this_machine_is_replaced_and_that_of_another_stays(
    answers: ModuleType, instrument: Any, folder: Path
) -> None:
    (run,) = made_up("streams")
    keep(folder, answers, "streams", [run])
    ours = msgspec.structs.replace(run, machine=instrument.machine)
    keep(folder, answers, "streams", [ours])
    assert measure(answers, instrument, folder) == []
    names = sorted(path.name for path in (folder / "results").iterdir())
    assert len(names) == 2
    assert names[0] == answers.file_name(run, "streams")
    assert answers.file_name(ours, "streams") not in names


def test_run_without_the_figures_is_told_and_not_kept(
    answers: ModuleType, instrument: Any, folder: Path, capsys: Any
) -> None:
    assert answers.measure_all(instrument, folder, ["cores"], again=False) == ["cores"]
    assert "failed: there is nothing on several numbers of cores" in capsys.readouterr().err
    assert not (folder / "results").exists()


def test_of_several_runs_none_is_kept_if_one_fails(
    answers: ModuleType, instrument: Any, folder: Path, capsys: Any
) -> None:
    instrument.fails_at = 2
    assert answers.measure_all(instrument, folder, ["tls"], again=False) == ["tls"]
    assert not (folder / "results").exists()
    assert (folder / "questions.md").read_text(encoding="utf-8") == PAGE


def test_interrupted_it_keeps_what_was_measured_and_goes_on_from_there(
    answers: ModuleType, instrument: Any, folder: Path
) -> None:
    instrument.interrupted_at = 2
    streams, udp = (section_of(folder, name) for name in ("streams", "udp"))
    with pytest.raises(KeyboardInterrupt):
        answers.measure_all(instrument, folder, ["streams", "udp"], again=False)
    assert section_of(folder, "streams") != streams
    assert section_of(folder, "udp") == udp
    instrument.asked.clear()
    answers.measure_all(instrument, folder, ["streams", "udp"], again=False)
    assert [words[2] for words in instrument.asked if words[0] == "run"] == ["udp-echo"]


def section_of(folder: Path, name: str) -> str:
    page = (folder / "questions.md").read_text(encoding="utf-8")
    return next(each for each in page.split("\n## ") if f"<!-- {name}:" in each)


def test_without_a_free_threaded_python_that_question_is_left_out(
    answers: ModuleType, instrument: Any, folder: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert answers.measure_all(instrument, folder, ["free"], again=False) == []
    assert "there is no python3.13: install it" in capsys.readouterr().err
    shutil.copy(sys.executable, folder / "python3.13")
    assert answers.measure_all(instrument, folder, ["free"], again=False) == []
    assert "say where one is by --free-threaded PREFIX" in capsys.readouterr().err
    assert instrument.asked == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing",), "there is no question nothing"),
        (("--free-threaded", "."), "there is no pyth"),
    ],
)
def test_mistake_is_told_in_a_line(
    answers: ModuleType, words: tuple[str, ...], told: str, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        answers.main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
