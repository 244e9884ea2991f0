"""What the options of the command line may hold, and what is said of what they may not."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from compare.host import cores
from compare.host.cores import Cores
from compare.models import choice
from compare.models.interpreter import Interpreter
from compare.models.matrix import DEFAULT_MODELS, MODELS, SETS
from compare.models.source import Source


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
        for name in names:
            if name not in self._known:
                self.fail(
                    f"there is no {self._kind} {name!r}; choose from {', '.join(self._known)}",
                    param,
                    ctx,
                )
        return list(dict.fromkeys(names))


class Numbers(click.ParamType[list[Any]]):
    """Comma-separated whole numbers from 1 up, and perhaps a word."""

    name = "N,..."

    def __init__(self, word: str | None = None) -> None:
        self._word = word

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        if isinstance(value, list):
            return value
        numbers: list[Any] = []
        for word in value.split(","):
            text = word.strip()
            if text == self._word:
                numbers.append(text)
                continue
            known = text.isascii() and text.isdigit() and len(text) <= 7
            if not known or not 1 <= int(text) <= 1_000_000:
                also = f" or {self._word}" if self._word else ""
                self.fail(f"{text!r} is not a whole number from 1 to 1,000,000{also}", param, ctx)
            numbers.append(int(text))
        return list(dict.fromkeys(numbers))


class Duration(click.ParamType[float]):
    """A time with its unit, in microseconds."""

    name = "TIME"
    _units: ClassVar = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        number = value.rstrip("µmus")
        try:
            us = float(number) * self._units[value[len(number) :].strip()]
        except (ValueError, KeyError):
            us = math.nan
        if not 1 <= us <= 1e9:
            self.fail(f"{value!r} is not a time from 1us to 1000s, such as 5ms", param, ctx)
        return us


class Rounds(click.ParamType["int | str"]):
    """How often, or `auto`."""

    name = "N|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto":
            return "auto"
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000):
            self.fail(f"{text!r} is neither a whole number from 1 to 1000 nor auto", param, ctx)
        return int(text)


class Amount(click.FloatRange):
    """A number within bounds; nan is within none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return float(number)


class Seconds(click.ParamType[float]):
    """A time in seconds, above 0."""

    name = "SECONDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0.05 <= seconds <= 3600:
            self.fail(f"{value!r} is not a number of seconds from 0.05 to 3600", param, ctx)
        return seconds


class Share(click.ParamType[float]):
    """A part of something: `5%` or `0.05`."""

    name = "SHARE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        number = value.removesuffix("%")
        try:
            share = float(number) / (100 if number != value else 1)
        except ValueError:
            share = math.nan
        if not 0.0001 <= share <= 10:
            self.fail(f"{value!r} is not a share from 0.01% to 1000%, such as 5%", param, ctx)
        return share


store_option = click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="COMPARE_STORE",
    help="The history.  [default: in the user's data folder]",
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--models, --set and --python; `choose` makes of them what is measured."""
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


cores_option = click.option(
    "--cores",
    metavar="SERVER,DRIVER",
    help="Where they run, such as 0,1 or 0-3,4.  [default: two that are alike and near]",
)


def pinned_to(text: str | None) -> Cores:
    """Cores as `--cores` has them, or those that suit best. Raises click.BadParameter."""
    if text is None:
        return cores.choose()
    try:
        return cores.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--cores'") from None


def choose(
    models: Iterable[str] | None,
    sets: Iterable[str] | None,
    pythons: Sequence[str],
    sources: Sequence[str] = (),
) -> tuple[list[str], list[Interpreter], list[Source]]:
    """As `compare.models.choice.choose`. Raises click.BadParameter."""
    try:
        return choice.choose(models, sets, pythons, sources)
    except ValueError as error:
        hint = "'--source'" if "checkout" in str(error) or "LABEL" in str(error) else "'--python'"
        raise click.BadParameter(str(error), param_hint=hint) from None
