"""Which models are measured, and under which Pythons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compare.models.interpreter import Interpreter, look_at_all
from compare.models.matrix import DEFAULT_MODELS, MODELS, SETS


def choose(
    models: Iterable[str] | None, sets: Iterable[str] | None, pythons: Sequence[str]
) -> tuple[list[str], list[Interpreter]]:
    """The names of models, which MODELS then has, and what runs them where that is not we.

    Raises ValueError for a Python that cannot be had, with a line for a person.
    """
    names = [name for each in sets or () for name in SETS[each][1]] + [*(models or [])]
    names = list(dict.fromkeys(names)) or DEFAULT_MODELS
    interpreters = look_at_all(list(pythons))
    if not interpreters:
        return names, []
    chosen = []
    for name in names:
        model = MODELS[name]
        variants = [model] if model.own else [model.under(each) for each in interpreters]
        MODELS.update({each.name: each for each in variants})
        chosen += [each.name for each in variants]
    return chosen, interpreters
