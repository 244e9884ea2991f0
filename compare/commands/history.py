"""The commands for runs that are kept: list them, show one again, take it along, compare two."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from compare.commands.file import File
from compare.commands.options import SHARE, Names, json_flag, opened, store_option
from compare.commands.output import FAILED, FORMATS, UNCLEAR, as_json, show, write
from compare.report.changes import markdown, show_changes
from compare.report.chart import chart
from compare.report.history import show_entries
from compare.report.spreadsheet import table_of
from compare.report.terminal import show as show_run
from compare.results import diff as differ
from compare.results.compact import compact
from compare.results.export import export as write_histograms
from compare.results.records import Run
from compare.results.store import Store, StoreError, is_kept, read

STATUSES = {"better": 0, "same": 0, "worse": FAILED, "unclear": UNCLEAR}


def _open(store: Path | None) -> Store:
    try:
        return opened(store)
    except StoreError as error:
        raise click.UsageError(str(error)) from None


def load(name: str, store: Path | None) -> Run:
    """A run by its number, `latest`, or the name of a JSON file. Raises click.BadParameter."""
    try:
        return read(name, partial(_open, store))
    except StoreError as error:
        raise click.BadParameter(str(error), param_hint="'RUN'") from None


@click.command()
@store_option
def history(store: Path | None) -> None:
    """List the runs that were made, the last one last."""
    try:
        entries = _open(store).entries()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    if not entries:
        click.echo("no run is kept yet: compare run --quick makes one")
        return
    show(partial(show_entries, entries))


@click.command("show")
@click.argument("run", default="latest")
@store_option
def show_again(run: str, store: Path | None) -> None:
    """Print a run again. RUN is its number, latest, latest~1, or a JSON file."""
    show(partial(show_run, load(run, store)))


@click.command()
@click.argument("run", default="latest")
@click.option("--json", "json_path", type=File(dir_okay=False, allow_dash=True))
@click.option(
    "--compact",
    "is_compact",
    is_flag=True,
    help="The JSON without histograms, traces and slices, in a line: a sixth of it.",
)
@click.option("--csv", "csv_path", type=File(dir_okay=False, allow_dash=True))
@click.option("--markdown", "markdown_path", type=File(dir_okay=False, allow_dash=True))
@click.option(
    "--svg",
    "svg_path",
    type=File(dir_okay=False, allow_dash=True),
    help="A picture: bars of the rate under each load.",
)
@click.option("--dark", is_flag=True, help="The picture for a dark page.")
@click.option(
    "--hlog",
    "folder",
    type=File(file_okay=False, path_type=Path),
    help="A folder for .hlog and .hgrm files, which HdrHistogram's tools read.",
)
@store_option
def export(
    run: str,
    json_path: str | None,
    is_compact: bool,
    csv_path: str | None,
    markdown_path: str | None,
    svg_path: str | None,
    dark: bool,
    folder: Path | None,
    store: Path | None,
) -> None:
    """Write a run as other programs read it; - is stdout.

    RUN is its number, latest, latest~1, or a JSON file.
    """
    outputs = {"json": json_path, "csv": csv_path, "markdown": markdown_path, "svg": svg_path}
    if not (any(outputs.values()) or folder):
        raise click.UsageError(
            "say what to write: --json FILE, --csv FILE, --markdown FILE, --svg FILE or --hlog "
            "FOLDER"
        )
    if dark and not svg_path:
        raise click.UsageError("--dark is of the picture: it goes with --svg")
    if is_compact and not json_path:
        raise click.UsageError("--compact is of the JSON: it goes with --json")
    result = load(run, store)
    formats = FORMATS | {
        "csv": lambda each: table_of(each).encode(),
        "svg": lambda each: chart(each, "dark" if dark else "light").encode(),
    }
    if is_compact:
        formats["json"] = compact
    for kind, to in outputs.items():
        if to:
            write(to, formats[kind](result), kind)
    if folder:
        try:
            for path in write_histograms(result, folder):
                click.echo(path, err="-" in outputs.values())
        except OSError as error:
            raise click.BadParameter(
                f"cannot write into {folder}: {error.strerror}", param_hint="'--hlog'"
            ) from None


@click.command()
@click.argument("base")
@click.argument("new", default="latest")
@click.option("--threshold", type=SHARE, default="5%", show_default=True, help="What is worse.")
@click.option(
    "--metrics",
    type=Names("metric", list(differ.METRICS)),
    default=",".join(differ.METRICS),
    show_default=True,
)
@click.option("--force", is_flag=True, help="Compare what was not made alike, and say so.")
@json_flag
@click.option("--markdown", "as_markdown", is_flag=True, help="The answer for a pull request.")
@store_option
def diff(
    base: str,
    new: str,
    threshold: float,
    metrics: list[differ.Metric],
    force: bool,
    as_json_: bool,
    as_markdown: bool,
    store: Path | None,
) -> None:
    """Say whether anything became worse from BASE to NEW.

    Each is the number of a run, latest, latest~1, or a JSON file. Exit status 0 when nothing is
    worse, 1 when something is, 3 when it cannot be told; then it says what to run.
    """
    if as_json_ and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other: choose one.")
    runs = [load(name, store) for name in (base, new)]
    try:
        found = differ.compare(runs[0], runs[1], threshold=threshold, metrics=metrics, force=force)
    except differ.Incomparable as error:
        raise click.UsageError(
            f"these runs were not made alike ({error}); --force compares them all the same"
        ) from None
    if as_json_:
        write("-", as_json(found), "json")
    elif as_markdown:
        click.echo(markdown(found), nl=False)
    else:
        show(partial(show_changes, found))
    sys.exit(STATUSES[found.answer])


def _kept_as(name: str, store: Path | None) -> tuple[str, str]:
    """What a run of the history is called, and the command that made it."""
    history = _open(store)
    try:
        number = history.find(name)
        made = next(each.command for each in history.entries() if each.id == number)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    return f"run {number}", made


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "-o",
    "--output",
    type=File(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
)
@click.option("--open", "open_it", is_flag=True, help="Show it in the browser.")
@store_option
def report(runs: tuple[str, ...], output: Path, open_it: bool, store: Path | None) -> None:
    """Write one page of HTML on a run, that needs no network.

    RUN is a number, latest, latest~1, or a JSON file. Several runs stand side by side.
    """
    from compare.report.page import Given, page  # which takes its time

    given = []
    for name in runs or ("latest",):
        result = load(name, store)
        command = None
        label = Path(name).name
        if is_kept(name):
            label, command = _kept_as(name, store)
        given.append(Given(label, result, command))
    try:
        output.write_text(page(given), encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {output}: {error.strerror}", param_hint="'--output'"
        ) from None
    click.echo(output)
    if open_it:
        click.launch(str(output))
