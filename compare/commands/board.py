"""`compare class board`: who needs how much CPU, of runs that are given."""

from __future__ import annotations

import stat
from pathlib import Path

import click
import msgspec

from compare.classroom.board import Grades, Place, leaderboard, standings, student_of
from compare.classroom.files import FORMAT, put
from compare.commands.file import File
from compare.commands.history import load
from compare.commands.options import store_option
from compare.models.unreadable import UNREADABLE
from compare.results.records import Run


@click.command("board")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=File(dir_okay=False, path_type=Path),
    default="board.html",
    show_default=True,
)
@click.option("--title", default="Who needs the least CPU", show_default=True)
@click.option(
    "--gradescope",
    "gradescope_path",
    type=File(exists=True, dir_okay=False, path_type=Path),
    help="A results.json to which the place of the one student is added.",
)
@store_option
def make_board(
    runs: tuple[str, ...],
    output: Path,
    title: str,
    gradescope_path: Path | None,
    store: Path | None,
) -> None:
    """Write one page of HTML: CPU time of an operation as so many times bare-epoll's.

    RUN is the JSON of `compare run --server yours=... --models bare-epoll`, called after its
    student, or what `class grade --json` kept: where there is any of those, only who passes every
    check of it has a place.
    """
    from compare.classroom.board_page import page  # which takes its time

    made: list[tuple[str, Run]] = []
    grades: list[Grades] = []
    for each in runs:
        if (graded := _grades(each)) is not None:
            grades.append(graded)
        else:
            made.append((student_of(Path(each)), load(each, store)))
    if not made:
        raise click.UsageError(
            "all of that are grades: name a run as well, such as compare run --json makes."
        )
    places, left = standings(made, grades)
    if gradescope_path is not None:
        _add_place(gradescope_path, made, places)
    try:
        put(output, page(title, places, left).encode())
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {output}: {error.strerror}", param_hint="'--output'"
        ) from None
    for one in left:
        click.echo(f"no place for {one.who}: {one.why}", err=True)
    click.echo(output)


def _grades(name: str) -> Grades | None:
    """What a grading kept; None of what may be a run. Raises click.BadParameter."""
    path = Path(name)
    if not path.is_file():
        return None
    try:
        content = path.read_bytes()
        if msgspec.json.decode(content, type=dict).get("format") != FORMAT:
            return None
        return msgspec.json.decode(content, type=Grades)
    except (OSError, *UNREADABLE):
        return None


def _add_place(path: Path, made: list[tuple[str, Run]], places: list[Place]) -> None:
    if len({student for student, _ in made}) != 1:
        raise click.UsageError("--gradescope is of one student: give that one's run alone.")
    try:
        results = msgspec.json.decode(path.read_bytes(), type=dict)
        content = msgspec.json.encode({**results, "leaderboard": leaderboard(places)})
        put(path, content, stat.S_IMODE(path.stat().st_mode))
    except UNREADABLE as error:
        raise click.BadParameter(
            f"{path} is no results.json: {error}", param_hint="'--gradescope'"
        ) from None
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {path}: {error.strerror}", param_hint="'--gradescope'"
        ) from None
