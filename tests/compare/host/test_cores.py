"""Which cores are taken, on machines that are made up."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.host.cores import (
    MOST,
    Cores,
    aside,
    beside,
    choose,
    claimed,
    parse_server,
    rungs,
)

Core = Callable[..., None]


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """Adds a core to what /sys tells of a machine; what is not given it does not tell."""

    def core(
        number: int,
        *,
        threads: str | None = None,
        package: int | None = None,
        cache: str | None = None,
        level: int = 3,
        megahertz: int | None = None,
        capacity: int | None = None,
    ) -> None:
        told = {
            "topology/thread_siblings_list": threads,
            "topology/physical_package_id": package,
            f"cache/index{level}/shared_cpu_list": cache,
            "cpufreq/cpuinfo_max_freq": None if megahertz is None else megahertz * 1000,
            "cpu_capacity": capacity,
        }
        folder = tmp_path / "sys" / "devices" / "system" / "cpu" / f"cpu{number}"
        for name, value in told.items():
            if value is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(f"{value}\n")

    return core


def pair(cores: Cores) -> set[int]:
    """The two, whoever has which."""
    assert len(cores.server) == 1
    assert cores.driver is not None
    assert cores.apart
    return {*cores.server, cores.driver}


# How many there are


@pytest.mark.parametrize("mine", [[], [0], [5]])
def test_where_there_is_one_core_each_runs_anywhere(mine: list[int], tmp_path: Path) -> None:
    found = choose(mine, tmp_path)
    assert found == Cores() == Cores((), None)
    assert not found.apart


def test_of_two_cores_each_has_one_whatever_they_are(core: Core, tmp_path: Path) -> None:
    core(0, threads="0-1", package=0, cache="0-1", megahertz=3000)
    core(1, threads="0-1", package=0, cache="0-1", megahertz=2000)
    assert pair(choose([0, 1], tmp_path)) == {0, 1}


def test_only_cores_that_we_may_use_are_taken(core: Core, tmp_path: Path) -> None:
    for number in range(8):
        core(number, threads=str(number), package=0, cache="0-7")
    assert pair(choose([7, 3], tmp_path)) == {3, 7}


def test_of_this_machine_those_are_taken_that_it_lets_us_use() -> None:
    found, allowed = choose(), os.sched_getaffinity(0)
    if len(allowed) < 2:
        assert found == Cores()
    else:
        assert pair(found) <= allowed


# What they are


def test_of_cores_that_tell_nothing_two_are_taken_without_core_0(tmp_path: Path) -> None:
    assert pair(choose([0, 1, 2, 3], tmp_path)) == {1, 2}


def test_core_0_is_taken_where_there_is_no_choice(tmp_path: Path) -> None:
    assert pair(choose([0, 1], tmp_path)) == {0, 1}


@pytest.mark.parametrize(
    "twins", [((0, 1), (2, 3), (4, 5), (6, 7)), ((0, 4), (1, 5), (2, 6), (3, 7))]
)
def test_two_threads_of_one_core_are_not_taken_for_two_cores(
    core: Core, tmp_path: Path, twins: tuple[tuple[int, int], ...]
) -> None:
    for both in twins:
        for number in both:
            core(number, threads=f"{both[0]},{both[1]}", package=0, cache="0-7", megahertz=3000)
    found = pair(choose(range(8), tmp_path))
    assert all(found != set(both) for both in twins)
    assert 0 not in found


def test_two_cores_are_rather_one_slow_than_two_threads_of_one(core: Core, tmp_path: Path) -> None:
    core(0, threads="0,1", package=0, cache="0-2", megahertz=5000)
    core(1, threads="0,1", package=0, cache="0-2", megahertz=5000)
    core(2, threads="2", package=0, cache="0-2", megahertz=3000)
    assert 2 in pair(choose([0, 1, 2], tmp_path))


def test_both_are_in_one_socket(core: Core, tmp_path: Path) -> None:
    for number in range(4):  # 0 and 2 here, 1 and 3 there, as some machines count
        core(number, threads=str(number), package=number % 2, cache=f"{number % 2}-3:2")
    assert pair(choose(range(4), tmp_path)) == {1, 3}


def test_sockets_are_told_apart_without_a_word_on_caches(core: Core, tmp_path: Path) -> None:
    for number in range(4):
        core(number, threads=str(number), package=number % 2)
    assert pair(choose(range(4), tmp_path)) == {1, 3}


@pytest.mark.parametrize("level", [2, 3])
def test_both_share_the_last_level_of_cache_within_a_socket(
    core: Core, tmp_path: Path, level: int
) -> None:
    for number in range(6):
        low = number // 3 * 3
        core(number, threads=str(number), package=0, cache=f"{low}-{low + 2}", level=level)
    assert pair(choose([0, 2, 3, 5], tmp_path)) == {3, 5}


def test_caches_of_the_second_level_count_only_where_there_is_no_third(
    core: Core, tmp_path: Path
) -> None:
    for number in range(4):
        core(number, threads=str(number), package=0, cache=str(number), level=2)
        core(number, cache="0,3" if number in (0, 3) else "1-2")
    assert pair(choose([1, 2, 3], tmp_path)) == {1, 2}


@pytest.mark.parametrize("told", ["megahertz", "capacity"])
def test_of_cores_of_two_kinds_the_fastest_are_taken(core: Core, tmp_path: Path, told: str) -> None:
    for number in range(8):
        fast = number in (5, 7)
        core(number, threads=str(number), package=0, cache="0-7", **{told: 1024 if fast else 446})
    assert pair(choose(range(8), tmp_path)) == {5, 7}


def test_two_threads_of_the_one_fast_core_are_not_taken_for_two(core: Core, tmp_path: Path) -> None:
    """It has one of the two, and a slower one the other."""
    for number in range(4):
        threads = "2-3" if number > 1 else str(number)
        core(
            number, threads=threads, package=0, cache="0-3", megahertz=5000 if number > 1 else 2000
        )
    found = pair(choose(range(4), tmp_path))
    assert len(found & {2, 3}) == 1
    assert found & {0, 1} == {1}


def test_two_fast_cores_are_taken_although_one_is_core_0(core: Core, tmp_path: Path) -> None:
    for number in range(4):
        core(
            number, threads=str(number), package=0, cache="0-3", capacity=900 if number < 2 else 400
        )
    assert pair(choose(range(4), tmp_path)) == {0, 1}


def test_neighbours_are_taken_although_one_is_core_0(core: Core, tmp_path: Path) -> None:
    for number in range(3):
        core(number, threads=str(number), package=number // 2, cache="0-1" if number < 2 else "2")
    assert pair(choose(range(3), tmp_path)) == {0, 1}


def test_frequency_that_is_no_number_is_passed_over(core: Core, tmp_path: Path) -> None:
    for number in range(3):
        core(number, threads=str(number))
    folder = tmp_path / "sys" / "devices" / "system" / "cpu" / "cpu2" / "cpufreq"
    folder.mkdir()
    (folder / "cpuinfo_max_freq").write_text("<unknown>\n")
    assert pair(choose(range(3), tmp_path)) == {1, 2}


@given(st.sets(st.integers(0, 40), min_size=2, max_size=12))
def test_any_cores_are_two_of_those_that_we_may_use(mine: Collection[int]) -> None:
    found = pair(choose(sorted(mine), Path("/nothing/here")))
    assert found <= set(mine)
    assert 0 not in found or len(mine) == 2


# Several for the server


def test_more_cores_are_begun_with_the_pair_and_end_with_the_drivers(tmp_path: Path) -> None:
    found = beside(mine=[0, 1, 2, 3], root=tmp_path)
    assert found == Cores((1, 3, 0, 2), 2)
    assert not found.apart


def test_threads_of_cores_that_are_taken_come_after_all_other_cores(
    core: Core, tmp_path: Path
) -> None:
    """The driver's twin, too, which would be slowed down by it."""
    for number in range(8):
        core(number, threads=f"{number % 4},{number % 4 + 4}", package=0, cache="0-7")
    found = beside(mine=range(8), root=tmp_path)
    assert found.driver == 2
    assert {number % 4 for number in found.server[:3]} == {0, 1, 3}  # a core each
    assert found.server[-1] == found.driver


def test_slow_and_far_cores_come_late(core: Core, tmp_path: Path) -> None:
    for number in range(6):
        core(number, package=number // 4, cache="0-3" if number < 4 else "4-5", megahertz=3000)
    core(3, megahertz=1000)
    found = beside(mine=range(6), root=tmp_path)
    assert found.driver == 2
    assert found.server == (1, 0, 4, 5, 3, 2)


def test_of_cores_that_are_named_the_driver_has_another(tmp_path: Path) -> None:
    assert beside([2, 3], [0, 1, 2, 3], tmp_path) == Cores((2, 3), 1)
    assert beside([1, 0], [0, 1], tmp_path) == Cores((0, 1), 1)
    assert beside([0], [0], tmp_path) == Cores((0,), 0)


@given(st.data(), st.sets(st.integers(0, 40), min_size=1, max_size=12))
def test_any_cores_are_all_the_servers_each_once(data: st.DataObject, mine: set[int]) -> None:
    named = data.draw(st.none() | st.sets(st.sampled_from(sorted(mine)), min_size=1))
    found = beside(named, sorted(mine), Path("/nothing/here"))
    assert sorted(found.server) == sorted(named or mine)
    assert found.driver in mine
    assert found.apart == bool(named and named != mine)


def test_number_of_cores_is_of_those_that_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7})
    assert rungs([2, 1]) == Cores((4, 6), 5)
    assert rungs([1, 2], "6-7").server == (6, 7)
    assert rungs([4]) == Cores((4, 6, 7, 5), 5)


@pytest.mark.parametrize(
    ("many", "server", "words"),
    [
        ([1, 5], None, "5 cores are more than there are for us: 4,5,6,7"),
        ([3], "6-7", "3 cores are more than there are of --server-cores: 6,7"),
        ([1], "3-4", "3-4: there is no core 3 for us; there are 4,5,6,7"),
    ],
)
def test_more_cores_than_there_are_are_refused(
    monkeypatch: pytest.MonkeyPatch, many: list[int], server: str | None, words: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7})
    with pytest.raises(ValueError, match=re.escape(words)):
        rungs(many, server)


@pytest.mark.parametrize("text", ["", "x", "1-", "3-1", "-1", f"0-{MOST + 1}"])
def test_what_is_no_list_of_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no list of cores, such as 0-3 or 0,2"):
        parse_server(text)


def test_cores_are_apart_only_where_each_has_its_own() -> None:
    assert Cores((0,), 1).apart
    assert Cores((0, 1), 2).apart
    for together in (Cores(), Cores((0,), 0), Cores((0, 1), 1), Cores((0,), None), Cores((), 1)):
        assert not together.apart


# Where we are ourselves


@pytest.mark.parametrize(
    ("mine", "cores", "meanwhile"),
    [
        ({0, 1, 2, 3}, Cores((1,), 2), {0, 3}),
        ({0, 1, 2, 3}, Cores((0, 1, 2), 3), {0, 1, 2, 3}),  # there is no other
        ({0, 1}, Cores((0,), 1), {0, 1}),
        ({0, 1, 2}, Cores(), {0, 1, 2}),
    ],
)
def test_we_are_on_none_of_their_cores_meanwhile_if_there_are_others(
    monkeypatch: pytest.MonkeyPatch, mine: set[int], cores: Cores, meanwhile: set[int]
) -> None:
    ours = [mine]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: ours[-1])
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: ours.append(cores))
    with contextlib.suppress(KeyboardInterrupt), aside(cores):
        assert ours[-1] == meanwhile
        raise KeyboardInterrupt
    assert ours[-1] == mine


def test_core_that_another_has_claimed_is_told_until_he_ends() -> None:
    """Numbers that no machine of a test has."""
    ours = Cores((8001, 8002), 8003).named
    with claimed(ours) as taken:
        assert taken == []
        with claimed({8003, 8004}) as taken:
            assert taken == [8003]
    with claimed(ours) as taken:
        assert taken == []
    with claimed(Cores().named) as taken:
        assert taken == []
