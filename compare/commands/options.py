"""What the options of the command line may hold, and what is said of what they may not."""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from compare.commands.file import File
from compare.host import cores
from compare.host.cores import Cores
from compare.models import choice, units
from compare.models.interpreter import Interpreter
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.models.sets import DEFAULT_MODELS, SETS
from compare.models.source import Source
from compare.results.records import Slow
from compare.results.store import Store, StoreError, default_path

OWN = "compare: models of the user's own"  # of a click.Context
MOST_RUNG = cores.MOST + 1
STEPS, MOST_STEPS = 5, 100  # of a range


class Names(click.ParamType[list[str]]):
    """Comma-separated names out of a fixed set."""

    name = "NAME,..."

    def __init__(self, kind: str, known: Collection[str]) -> None:
        self._kind = kind
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")]
        known = [*self._known, *(ctx.meta.get(OWN, ()) if ctx and self._kind == "model" else ())]
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f"; did you mean {near[0]}?" if near else ";"
                self.fail(
                    f"there is no {self._kind} {name!r}{meant} choose from {', '.join(known)}",
                    param,
                    ctx,
                )
        return list(dict.fromkeys(names))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The name that is being typed, behind the last comma."""
        before, comma, begun = incomplete.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self._known
            if name.startswith(begun) and name not in before.split(",")
        ]


class Quantity(click.ParamType[float]):
    """One value with its unit, within bounds."""

    def __init__(
        self, name: str, parse: Callable[[str], float], low: float, high: float, what: str
    ) -> None:
        self.name = name
        self._parse = parse
        self._low, self._high, self._what = low, high, what

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if not isinstance(value, str):
            return float(value)
        try:
            number = self._parse(value)
        except ValueError:
            number = math.nan
        if not self._low <= number <= self._high:
            self.fail(f"{value[:40]!r} is not {self._what}", param, ctx)
        return number


class Several(click.ParamType[list[Any]]):
    """Values with commas between them, and ranges: `0.1..0.9` is five, `1k..64k/3` three."""

    def __init__(self, one: Quantity, *, whole: bool = False, word: str | None = None) -> None:
        self.name = f"{one.name},..."
        self._one = one
        self._whole = whole
        self._word = word

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        if isinstance(value, list):
            return value
        found: list[Any] = []
        for text in map(str.strip, value.split(",")):
            low, dots, rest = text.partition("..")
            high, _, many = rest.partition("/")
            if text == self._word:
                found.append(text)
            elif dots:
                ends = [self._one.convert(each, param, ctx) for each in (low, high)]
                found += _range(ends[0], ends[1], self._steps(many, param, ctx))
            else:
                found.append(self._one.convert(text, param, ctx))
        found = [round(each) if self._whole and each != self._word else each for each in found]
        return list(dict.fromkeys(found))

    def _steps(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not text:
            return STEPS
        if not (text.isascii() and text.isdigit() and 2 <= int(text[:4]) <= MOST_STEPS):
            self.fail(f"{text[:40]!r} is not a number of steps from 2 to {MOST_STEPS}", param, ctx)
        return int(text)


def _range(low: float, high: float, steps: int) -> list[float]:
    step = (high - low) / (steps - 1)
    between = [float(f"{low + number * step:.6g}") for number in range(1, steps - 1)]
    return [low, *between, high]


def _whole(text: str) -> float:
    number = units.amount(text)
    return number if number.is_integer() else math.nan


def whole(most: int, least: int = 1) -> Quantity:
    return Quantity("N", _whole, least, most, f"a whole number from {least} to {most:,}")


DURATION = Quantity("TIME", units.time_us, 1, 1e9, "a time from 1us to 1000s, such as 5ms")
SECONDS = Quantity(
    "TIME",
    lambda text: units.time_us(text, bare=1e6) / 1e6,
    0.05,
    3600,
    "a time from 0.05 to 3600 s, such as 2s or 500ms",
)
SHARE = Quantity(
    "SHARE", units.share, 0.0001, 10, "a share from 0.01% to 1000%, such as 5% or 0.05"
)
SLOW_SHARE = Quantity("SHARE", units.share, 1e-6, 1, "a share up to 100%, such as 1% or 0.01")
LOAD = Quantity("SHARE", units.share, 0.01, 1.5, "a share from 1% to 150%, such as 70% or 0.7")
RATE = Quantity(
    "RATE", units.amount, 0.1, 1e7, "a number from 0.1 to 10,000,000 a second, such as 20k"
)
SIZE = Quantity(
    "BYTES", units.size_bytes, 1, 2**30, "a number of bytes from 1 to 1G, such as 1000 or 64k"
)


COST = Quantity(
    "TIME",
    lambda text: units.time_us(text, bare=1.0 if text.strip() == "0" else None),
    0,
    1e5,
    "0, or a time up to 100ms with its unit, such as 50us or 5ms",
)


SLOW_TIME = Quantity("TIME", units.time_us, 1, 1e5, "a time from 1us to 100ms, such as 20ms")


class SlowOnes(click.ParamType["list[Slow]"]):
    """`1%:20ms`, or 0; with commas between several."""

    name = "SHARE:TIME,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Slow]:
        if isinstance(value, list):
            return value
        return list(dict.fromkeys(self._one(text.strip(), param, ctx) for text in value.split(",")))

    def _one(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> Slow:
        if text == "0":
            return Slow(0.0, 0.0)
        share, colon, us = text.partition(":")
        if not colon:
            self.fail(f"{text[:40]!r} is not SHARE:TIME, such as 1%:20ms, nor 0", param, ctx)
        return Slow(SLOW_SHARE.convert(share, param, ctx), SLOW_TIME.convert(us, param, ctx))


class Rounds(click.ParamType["int | str"]):
    """How often, or `auto`."""

    name = "N|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if isinstance(value, int):
            return value
        if value == "auto":
            return "auto"
        if not (
            value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= 1000
        ):
            self.fail(
                f"{value[:40]!r} is neither a whole number from 1 to 1000 nor auto", param, ctx
            )
        return int(value)


store_option = click.option(
    "--store",
    type=File(dir_okay=False, path_type=Path),
    envvar="COMPARE_STORE",
    help="The history.  [default: in the user's data folder]",
)


json_flag = click.option("--json", "as_json_", is_flag=True, help="The answer as JSON on stdout.")


def opened(path: Path | None) -> Store:
    """The history that was named, or else the user's, whose folder is made if need be.

    Raises click.BadParameter where one was named that cannot be used, else StoreError.
    """
    if path is None:
        return Store(default_path())
    try:
        if not path.parent.is_dir():
            raise StoreError(f"cannot open {path}: there is no folder {path.parent}")
        return Store(path)
    except StoreError as error:
        context = click.get_current_context()
        typed = context.get_parameter_source("store") is not ParameterSource.ENVIRONMENT
        hint = "'--store'" if typed else "the environment variable 'COMPARE_STORE'"
        raise click.BadParameter(str(error), param_hint=hint) from None


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--models, --set and --python; `chosen` makes of them what is measured."""
    models = click.option(
        "--models",
        type=Names("model", MODELS),
        help=f"[default: {','.join(DEFAULT_MODELS)}]  compare list explains them all.",
    )
    sets = click.option(
        "--set",
        "sets",
        type=Names("set", list(SETS)),
        help=f"Models that belong together: {', '.join(SETS)}.",
    )
    pythons = click.option(
        "--python",
        "pythons",
        metavar="COMMAND",
        multiple=True,
        help="A Python to run the servers under, such as python3.13; may be repeated.",
    )
    return models(sets(pythons(command)))


def handler_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--work, --wait and --slow: what a message costs a server."""
    work = click.option(
        "--work",
        "works",
        type=Several(COST),
        help="CPU that the server takes for each message, such as 50us or 0,20us,100us: from when "
        "on is it all the same which model serves?",
    )
    wait = click.option(
        "--wait",
        "waits",
        type=Several(COST),
        help="From the end of a message until the server answers, as for a database: a thread "
        "sleeps, a loop has a timer.",
    )
    slow = click.option(
        "--slow",
        "slows",
        type=SlowOnes(),
        help="Such as 1%:20ms: one message in a hundred takes so much CPU; what does it do to "
        "everybody else?",
    )
    return work(wait(slow(command)))


cores_option = click.option(
    "--cores",
    metavar="SERVER,DRIVER",
    help="Where they run, such as 0,1 or 0-3,4.  [default: two that are alike and near]",
)


server_cores_option = click.option(
    "--server-cores",
    metavar="LIST",
    help="Those of the server alone, such as 0-3; the driver has the best of the others.  "
    "[default: one]",
)
RUNGS = click.Option(
    ["--cores", "rungs"],
    type=Several(
        Quantity("N", _whole, 1, MOST_RUNG, "how many cores; --server-cores says which"), whole=True
    ),
    help="How many the server has, such as 1,2,4: what more of them gain. {workers} in a command "
    "is as many.",
)


def pinned_to(
    text: str | None, server: str | None = None, rungs: Sequence[int] | None = None
) -> Cores:
    """Cores as `--cores` has them, `--server-cores`, or both as `scale` has them; or those that
    suit best. Raises click.BadParameter.
    """
    try:
        if rungs:
            return cores.rungs(rungs, server)
        if server is not None:
            return cores.parse_server(server)
        return cores.choose() if text is None else cores.parse(text)
    except ValueError as error:
        hint = "'--server-cores'" if server is not None and not rungs else "'--cores'"
        raise click.BadParameter(str(error), param_hint=hint) from None


@contextlib.contextmanager
def alone_on(ours: Collection[int]) -> Iterator[None]:
    """Says in a line whether another run is there, too, which both would take for noise."""
    # Of `scale`, --cores says how many.
    option = "--cores" if "rungs" not in click.get_current_context().params else "--server-cores"
    with cores.claimed(ours) as taken:
        if taken:
            click.echo(
                f"another run measures on core {' and '.join(map(str, taken))}, too, and each "
                f"disturbs the other: {option} chooses others",
                err=True,
            )
        yield


def chosen(
    models: Iterable[str] | None,
    sets: Iterable[str] | None,
    pythons: Sequence[str],
    sources: Sequence[str] = (),
    own: Sequence[Model] = (),
) -> tuple[list[Model], list[Interpreter], list[Source]]:
    """As `compare.models.choice.choose`. Raises click.BadParameter."""
    try:
        return choice.choose(models, sets, pythons, sources, own)
    except ValueError as error:
        of_source = any(word in str(error) for word in ("checkout", "LABEL"))
        hint = "'--source'" if of_source or not pythons else "'--python'"
        raise click.BadParameter(str(error), param_hint=hint) from None
