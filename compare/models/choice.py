"""Which models are measured, and under which Pythons: --models, --set and --python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from compare.interpreter import Interpreter, look_at_all
from compare.matrix import DEFAULT_MODELS, MODELS, SETS
from compare.options import Names


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The three options; `choose` makes of them what is measured."""
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


def choose(
    models: Iterable[str] | None, sets: Iterable[str] | None, pythons: Sequence[str]
) -> tuple[list[str], list[Interpreter]]:
    """The names of models, which MODELS then has, and what runs them where that is not we.

    Raises click.BadParameter.
    """
    names = [name for each in sets or () for name in SETS[each][1]] + [*(models or [])]
    names = list(dict.fromkeys(names)) or DEFAULT_MODELS
    try:
        interpreters = look_at_all(list(pythons))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--python'") from None
    if not interpreters:
        return names, []
    chosen = []
    for name in names:
        model = MODELS[name]
        variants = [model] if model.own else [model.under(each) for each in interpreters]
        MODELS.update({each.name: each for each in variants})
        chosen += [each.name for each in variants]
    return chosen, interpreters
