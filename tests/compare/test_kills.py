"""Any process of the instrument dies at any moment: a reason every time, nothing left or lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from compare.results.records import Run
from compare.results.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(1800)]
MOMENTS = int(os.environ.get("COMPARE_MOMENTS", "20"))  # of each command
SEED = int(os.environ.get("COMPARE_SEED", "1"))
DEADLINE_S = 120.0
GONE_S = 10.0  # that what is left has to notice that nobody is there any more
RUNNER = 0.1  # of the moments, at which the command itself is killed
MARK = "COMPARE_KILLED_BY_A_TEST"
Offspring = Callable[[int], set[int]]

SHORT = ("--rounds", "2", "--duration", "0.1", "--connections", "4")
RUN = ("run", *SHORT, "--models", "epoll,prefork", "--workloads", "tcp-long,chat")
SCALE = ("scale", *SHORT, "--models", "epoll,bare-epoll", "--idle", "10,300")
DRIVERS = ("run", *SHORT, "--drivers", "2", "--models", "epoll,threaded", "--workloads", "tcp-long")
SELFTEST = """
from compare.selftest import trials
trials.COUNTS, trials.LATENCIES = trials.COUNTS[:4], []
trials.dearer = lambda cores: iter(())
from compare.__main__ import main
main(["selftest", "--comparisons", "0"])
"""
SERVER = ("-m", "blocking", "serve", "echo", "--model", "threaded", "--listen")
CHECKS = "tcp/1,tcp/2,tcp/4,tcp/5,tcp/9,life/1"


class Ended(NamedTuple):
    """What became of a command, and who was killed: it itself, one of its own, or nobody."""

    status: int
    out: str
    err: str
    victim: str
    was_runner: bool

    def __str__(self) -> str:
        return f"{self.victim}: status {self.status}\n{self.out}\n{self.err}"


def marked(mark: str) -> list[str]:
    """The processes that have it in their environment, but for zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(f"{folder.name} {words_of(int(folder.name))}")
        except OSError:
            continue
    return found


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
    except OSError:
        return "is gone"


def killed(
    chance: random.Random, offspring: Offspring, folder: Path, takes_s: float, *words: str
) -> Ended:
    """A command of which at a random moment one process, itself included, is killed."""
    mark = uuid.uuid4().hex
    temporary = folder / mark
    temporary.mkdir(parents=True)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", *words],
            env={**os.environ, MARK: mark, "TMPDIR": str(temporary)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    runner = chance.random() < RUNNER
    moment = time.monotonic() + chance.uniform(0.3, takes_s)
    victim, who = "nobody", process.pid
    while process.poll() is None:
        if time.monotonic() < moment:
            time.sleep(min(0.005, max(0.0, moment - time.monotonic())))
            continue
        candidates = sorted(offspring(process.pid))
        if runner or candidates:
            who = process.pid if runner else chance.choice(candidates)
            victim = f"{who} {words_of(who)}"
            try:
                os.kill(who, signal.SIGKILL)
            except ProcessLookupError:
                victim = "nobody"
            break
    status = process.wait(DEADLINE_S)
    deadline = time.monotonic() + GONE_S
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    said, warned = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    ended = Ended(status, said, warned, victim, who == process.pid and victim != "nobody")
    assert not left, f"{left} is left after {ended}"
    assert ended.was_runner or not list(temporary.iterdir()), f"files are left after {ended}"
    assert "Traceback" not in warned, str(ended)
    return ended


def reasons_of(run: Run) -> str:
    return "; ".join(
        [reason for cell in run.cells for reason in cell.reasons]
        + [each.apart for cell in run.cells for each in cell.rounds if each.apart]
    )


@pytest.mark.parametrize(
    ("command", "takes_s", "cells"),
    [(RUN, 7.0, 4), (SCALE, 6.0, 4), (DRIVERS, 6.0, 2)],
    ids=["run", "scale", "drivers"],
)
def test_run_of_which_a_process_is_killed_has_all_its_cells_and_says_why(
    tmp_path: Path, offspring: Offspring, command: tuple[str, ...], takes_s: float, cells: int
) -> None:
    chance = random.Random(SEED)
    told = 0
    for number in range(MOMENTS):
        folder = tmp_path / str(number)
        path, store = folder / "run.json", folder / "history"
        more = ("--json", str(path), "--store", str(store), "--seed", "1")
        ended = killed(chance, offspring, folder, takes_s, "-m", "compare", *command, *more)
        if ended.was_runner:
            assert ended.status == -signal.SIGKILL
            for entry in Store(store).entries() if store.exists() else ():
                assert Store(store).load(entry.id).cells
            continue
        assert ended.status in (0, 1), str(ended)
        run = msgspec.json.decode(path.read_bytes(), type=Run)
        assert len(run.cells) == cells, str(ended)
        assert Store(store).load(1) == run
        assert "kept as run 1" in ended.err
        assert ended.out.count("connections,") + ended.out.count("members,") >= 1
        failed = [cell for cell in run.cells if cell.verdict == "failed"]
        assert ended.status == bool(failed), str(ended)
        # In a tenth of a second a machine with other work to do may not come to it.
        failed = [cell for cell in failed if "no operation was" not in "; ".join(cell.reasons)]
        assert all(cell.reasons for cell in failed)
        # Its cell, and where it was idle connections, those with more of them.
        assert len({cell.model for cell in failed}) <= 1, str(ended)
        if "compare.driver" in ended.victim:
            assert "signal 9" in reasons_of(run) or not failed, str(ended)
        told += bool(failed) or "signal 9" in reasons_of(run) or "SIGKILL" in reasons_of(run)
    assert told, "nobody was ever killed at a moment that mattered"


def test_check_of_which_the_server_is_killed_says_so(tmp_path: Path, offspring: Offspring) -> None:
    chance = random.Random(SEED)
    for number in range(MOMENTS):
        ended = killed(
            *(chance, offspring, tmp_path / str(number), 4.0, "-m", "compare", "check"),
            *("--only", CHECKS, "--", sys.executable, *SERVER, "tcp://{host}:{port}"),
        )
        if ended.was_runner:
            continue
        assert ended.status in (0, 1), str(ended)
        said = "failed " in ended.out or "cannot be checked" in ended.err
        assert said == bool(ended.status), str(ended)


def test_selftest_of_which_a_process_is_killed_has_all_its_rows(
    tmp_path: Path, offspring: Offspring
) -> None:
    chance = random.Random(SEED)
    for number in range(MOMENTS):
        ended = killed(chance, offspring, tmp_path / str(number), 5.0, "-c", SELFTEST)
        if ended.was_runner:
            continue
        rows = [line for line in ended.out.splitlines() if line.startswith("datagrams ")]
        assert len(rows) == 4, str(ended)
        assert ended.status in (0, 1), str(ended)
        assert all(line.split()[-1] in ("right", "wrong", "noisy") for line in rows), str(ended)
