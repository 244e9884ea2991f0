"""Whether what a handler was told to do is found, and when that cannot be told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compare.host.cores import choose
from compare.models.handler import Handler
from compare.models.matrix import MODELS
from compare.results.records import Cell
from compare.selftest.handlers import HANDLERS, judged, more, told

MakeCell = Callable[..., Cell]


def test_a_model_is_told_by_its_command() -> None:
    model = told("epoll", Handler(work_us=50, size=1000))
    assert model.command[:4] == ("-m", "compare.contenders.loaded", "--work", "50")
    assert model.command[-len(MODELS["epoll"].command) + 1 :] == MODELS["epoll"].command[1:]
    assert model.name != told("epoll", Handler(work_us=100, size=1000)).name


def test_more_is_what_one_has_beside_the_other_round_by_round(made_up_cell: MakeCell) -> None:
    once, twice = made_up_cell("a", (10.0, 20.0, 30.0)), made_up_cell("b", (15.0, 26.0, 34.0))
    mean, interval = more(once, twice, lambda each: each.ops_per_s)
    assert mean == pytest.approx(5.0)
    assert interval is not None
    assert interval[0] < 5.0 < interval[1]


def test_nothing_known_is_nothing_found(made_up_cell: MakeCell) -> None:
    once, twice = made_up_cell("a", (10.0,)), made_up_cell("b", (15.0,))
    assert more(once, twice, lambda each: None)[0] == 0.0


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ((51.0, (48.0, 54.0)), "right"),
        ((51.0, None), "right"),
        ((56.0, (48.0, 64.0)), "noisy"),
        ((56.0, (54.0, 58.0)), "wrong"),
        ((0.0, None), "wrong"),
    ],
)
def test_wrong_is_what_is_off_beyond_doubt(
    found: tuple[float, tuple[float, float] | None], state: str
) -> None:
    assert judged("it", 50.0, found).state == state


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize("check", HANDLERS, ids=lambda each: each.__name__)
def test_what_a_handler_does_is_found(check: Callable[..., object]) -> None:
    (finding,) = check(choose())  # type: ignore[misc]
    assert finding.state in ("right", "noisy")
