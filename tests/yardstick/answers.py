"""Measure what docs/questions.md answers, and write the figures into it.

    python tests/yardstick/answers.py [NAME...] [--quick] [--again] [--free-threaded PREFIX]

The commands are those of the page, and each question there has a name, by which it can be asked
for alone. Every run is kept in docs/results/ as it ends (`compare export --json --compact`), called
by its day, machine and question; one of this machine that is less than a day old is not made again
but with --again (as after its command was changed), so that the same command goes on where it was
interrupted. A question of which a run fails is told, and its figures on the page stay, with their
date. --free-threaded is where a CPython without a global lock is installed
(PREFIX/bin/python3.13t). A question for which a Python is missing is left out.

--quick makes two rounds of each and shows the figures: nothing is written but into --folder, if
that is given. --write measures nothing: it fills the page again from the runs that are kept.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from answer_figures import QUESTIONS, Facts, picture

from compare.host.machine import Machine, describe, look
from compare.results.records import Run
from compare.results.store import StoreError, read

DOCS = Path(__file__).parents[2] / "docs"
PAGE, RESULTS, IMAGES = "questions.md", "results", "images"
FRESH_S = 86_400.0
EMPTY = "not measured yet"
QUICK = ("--rounds", "2")
_FIGURE = re.compile(r"<!-- (\w+):([\w-]+) -->(.*?)<!-- / -->", re.DOTALL)
_PYTHON = re.compile(r"\bpython3\.\d+t?")


class Kept(NamedTuple):
    """The last run of a command, and the file that it is in."""

    path: Path
    run: Run


def commands(page: str, name: str) -> list[str]:
    """Those of the section in which figures of that question stand."""
    for section in page.split("\n## "):
        if f"<!-- {name}:" in section:
            blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
            lines = [line for block in blocks for line in block.splitlines()]
            return [line for line in lines if re.match(r"compare (run|scale) ", line)]
    raise LookupError(f"the page has no question {name}")


def run_names(page: str, name: str) -> list[str]:
    many = len(commands(page, name))
    return [name, *(f"{name}-{number}" for number in range(2, many + 1))]


def file_name(run: Run, name: str) -> str:
    return f"{run.started[:10]}-{_slug(run.machine)}-{name}.json"


def _slug(machine: Machine) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", machine.cpu.lower()).strip("-")
    return f"{words}-{machine.cores}-cores"


def last_kept(results: Path, name: str) -> Kept | None:
    """Of whichever machine measured last. Raises StoreError where its file is no run."""
    found = sorted(results.glob(f"????-??-??-*-cores-{name}.json"))
    return Kept(found[-1], read(str(found[-1]), _no_history)) if found else None


def _no_history() -> None:
    raise StoreError("only files are read here")


def facts_of(folder: Path, page: str, name: str) -> tuple[Facts, list[Run]] | None:
    """None where a run of it is missing. Raises LookupError, StoreError."""
    kept = [last_kept(folder / RESULTS, each) for each in run_names(page, name)]
    runs = [each.run for each in kept if each]
    if len(runs) < len(kept):
        return None
    facts = QUESTIONS[name].facts(runs)
    return facts | {"when": "; ".join(dict.fromkeys(map(when, runs)))}, runs


def when(run: Run) -> str:
    day = datetime.datetime.fromisoformat(run.started)
    versions = [
        f"{each.version} ({each.label})" if each.label.endswith("t") else each.version
        for each in run.settings.interpreters
    ]
    pythons = [f"servers on {' and '.join(versions)}"] if versions else []
    return ", ".join([describe(run.machine), *pythons, f"{day.day} {day:%B %Y}"])


def fill(page: str, name: str, facts: Facts) -> str:
    """The page with these figures in their places. Raises LookupError for one that is not there."""

    def one(found: re.Match[str]) -> str:
        if found[1] != name:
            return found[0]
        if found[2] not in facts:
            raise LookupError(f"no run of {name} has the figure {found[2]}")
        text = facts[found[2]]
        if text.startswith(("|", "![")):
            text = f"\n\n{text}\n\n"
        return f"<!-- {name}:{found[2]} -->{text}<!-- / -->"

    return _FIGURE.sub(one, page)


def written(folder: Path, page: str, names: Sequence[str]) -> tuple[str, dict[Path, str]]:
    """The page, and the pictures by their paths. What cannot be told is said, and stays."""
    images: dict[Path, str] = {}
    for name in names:
        try:
            known = facts_of(folder, page, name)
            if known is None:
                continue
            facts, runs = known
            path = Path(IMAGES, f"questions-{name}.svg")
            facts["chart"] = f"![Operations a second, by load and model]({path})"
            page = fill(page, name, facts)
            if QUESTIONS[name].drawn:
                images[path] = picture(runs[0])
        except (LookupError, StoreError) as error:
            sys.stderr.write(f"{name}: {error}; its figures stay as they are\n")
    return page, images


def write(folder: Path, names: Sequence[str]) -> None:
    page = (folder / PAGE).read_text(encoding="utf-8")
    page, images = written(folder, page, names)
    for path, content in images.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    (folder / PAGE).write_text(page, encoding="utf-8")


# Measuring.


def _is_ours_and_new(run: Run) -> bool:
    started = datetime.datetime.fromisoformat(run.started).timestamp()
    return _slug(run.machine) == _slug(look()) and time.time() - started < FRESH_S


class Instrument:
    """Runs commands of the page, and keeps what they found."""

    def __init__(self, folder: Path, scratch: Path, *, quick: bool, prefix: Path | None) -> None:
        self._results = folder / RESULTS
        self._scratch = scratch
        self._quick = quick
        self._prefix = prefix

    def missing(self, command: str) -> str | None:
        """Why it is left out, if it is."""
        for asked in _PYTHON.findall(command):
            if shutil.which(asked, path=self._path()) is None:
                how = "say where one is by --free-threaded PREFIX"
                return f"there is no {asked}: {how if asked.endswith('t') else 'install it'}"
        return None

    def _path(self) -> str:
        ours = str(Path(sys.executable).parent)  # servers of the page's own are started by `python`
        last = [str(self._prefix / "bin")] if self._prefix else []  # it has a python3.13, too
        return os.pathsep.join([ours, os.environ.get("PATH", os.defpath), *last])

    def is_fresh(self, names: Sequence[str]) -> bool:
        """Whether this machine made all of them within a day. What cannot be read is not."""
        try:
            kept = [last_kept(self._results, name) for name in names]
        except StoreError:
            return False
        return all(each and _is_ours_and_new(each.run) for each in kept)

    def measure(self, commands: Sequence[str], names: Sequence[str]) -> str | None:
        """Run them, and keep all if they have the figures of the question; else what went wrong.

        names: of the runs, the first one that of the question.
        """
        made = []
        for command, name in zip(commands, names, strict=True):
            whole, small = (self._scratch / f"{name}{kind}.json" for kind in ("", "-compact"))
            words = [*shlex.split(command)[1:], *(QUICK if self._quick else ())]
            if status := self._compare([*words, "--json", str(whole)]):
                return f"compare ended with {status}"
            if self._compare(["export", str(whole), "--json", str(small), "--compact"]):
                return "its run cannot be read again"
            made.append((name, small))
        try:
            QUESTIONS[names[0]].facts([read(str(small), _no_history) for _, small in made])
        except LookupError as error:
            return str(error)
        for name, small in made:
            self._keep(name, small)
        return None

    def _keep(self, name: str, small: Path) -> None:
        """In the place of what this machine had of it."""
        run = read(str(small), _no_history)
        self._results.mkdir(parents=True, exist_ok=True)
        path = self._results / file_name(run, name)
        shutil.copy(small, path)
        for each in self._results.glob(f"????-??-??-{_slug(run.machine)}-{name}.json"):
            if each != path:
                each.unlink()

    def _compare(self, words: Sequence[str]) -> int:
        """Its exit status. At Ctrl-C it ends by itself, and is waited for."""
        environment = os.environ | {"PATH": self._path()}
        command = [sys.executable, "-m", "compare", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise


def measure_all(
    instrument: Instrument, folder: Path, names: Sequence[str], *, again: bool
) -> list[str]:
    """Each question after the other, the page with it; those that failed."""
    failed = []
    for number, name in enumerate(names, 1):
        page = (folder / PAGE).read_text(encoding="utf-8")
        lines, runs = commands(page, name), run_names(page, name)
        head = f"[{number}/{len(names)}] {name}"
        if why := next(filter(None, map(instrument.missing, lines)), None):
            sys.stderr.write(f"{head} is left out: {why}\n")
        elif not again and instrument.is_fresh(runs):
            sys.stderr.write(f"{head} is kept from less than a day ago; --again measures it\n")
            write(folder, [name])
        else:
            took = f"about {QUESTIONS[name].about_s} s where nothing else runs"
            sys.stderr.write(f"{head}, {took}: {'; '.join(lines)}\n")
            if why := instrument.measure(lines, runs):
                sys.stderr.write(f"{head} failed: {why}; its figures stay as they are\n")
                failed.append(name)
            else:
                write(folder, [name])
    return failed


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(QUESTIONS)}")
    parser.add_argument("--quick", action="store_true", help="two rounds of each, to look at")
    parser.add_argument("--again", action="store_true", help="what was made within a day, too")
    parser.add_argument("--write", action="store_true", help="from what is kept, and no more")
    parser.add_argument("--free-threaded", type=Path, metavar="PREFIX", help="as it was installed")
    parser.add_argument("--folder", type=Path, help="of the page and results/ (default: docs)")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.names if name not in QUESTIONS]:
        parser.error(f"there is no question {', '.join(unknown)}: ask for {', '.join(QUESTIONS)}")
    if args.free_threaded and not any((args.free_threaded / "bin").glob("python3.*t")):
        parser.error(f"--free-threaded: there is no python3.*t in {args.free_threaded / 'bin'}")
    names = [name for name in QUESTIONS if name in args.names] or [*QUESTIONS]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or (Path(scratch, "docs") if args.quick else DOCS)
        if folder != DOCS and not (folder / PAGE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(DOCS / PAGE, folder)
        if args.write:
            write(folder, names)
            return 0
        instrument = Instrument(folder, Path(scratch), quick=args.quick, prefix=args.free_threaded)
        try:
            failed = measure_all(instrument, folder, names, again=args.again)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: the same command goes on from here\n")
            return 130
        if args.quick:
            show(folder, names)
    return 1 if failed else 0


def show(folder: Path, names: Sequence[str]) -> None:
    """The figures, on stdout, whatever letters that has."""
    sys.stdout.reconfigure(errors="replace")
    page = (folder / PAGE).read_text(encoding="utf-8")
    for name in names:
        if known := facts_of(folder, page, name):
            print(name)
            for what, text in known[0].items():
                print(f"  {what}: {text}" if what != "table" else f"\n{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
