"""A run that is made small is read again as the same, but for what pictures need."""

from __future__ import annotations

import msgspec
from made_up_records import made_up_cell, made_up_round, made_up_run

from compare.contract.histogram import empty, encode
from compare.results.compact import compact
from compare.results.records import Run


def read(content: bytes) -> Run:
    return msgspec.json.decode(content, type=Run)


def test_what_is_left_out_is_histograms_traces_and_slices() -> None:
    cell = made_up_cell("epoll", (1000.0, 1001.0), latency_hdr=encode(empty()))
    run = made_up_run([cell, made_up_cell("uvloop", (900.0, 901.0))])
    small = read(compact(run))
    rounds = [msgspec.structs.replace(each, slices=[]) for each in cell.rounds]
    assert small.cells[0] == msgspec.structs.replace(cell, rounds=rounds, latency_hdr=None)
    assert [each.model for each in small.comparisons] == [each.model for each in run.comparisons]


def test_figures_have_six_digits_and_counts_all() -> None:
    round_ = made_up_round(123_456.789, operations=123_456_789)
    run = made_up_run([made_up_cell("epoll", (), rounds=[round_], ops_per_s=0.000123456789)])
    (cell,) = read(compact(run)).cells
    assert cell.ops_per_s == 0.000123457
    assert (cell.rounds[0].ops_per_s, cell.rounds[0].operations) == (123_457.0, 123_456_789)


def test_twice_is_as_once_and_in_one_line() -> None:
    once = compact(made_up_run([made_up_cell("epoll", (1000.0, 1001.0))]))
    assert compact(read(once)) == once
    assert once.count(b"\n") == 1
    assert once.startswith(b"{")
