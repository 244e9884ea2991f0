"""Which models are measured, under which Pythons, and from which checkouts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compare.models import source
from compare.models.interpreter import Interpreter, look_at_all
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.models.sets import DEFAULT_MODELS, SETS
from compare.models.source import Source


def choose(
    models: Iterable[str] | None,
    sets: Iterable[str] | None,
    pythons: Sequence[str],
    sources: Sequence[str] = (),
    own: Sequence[Model] = (),
) -> tuple[list[Model], list[Interpreter], list[Source]]:
    """What is measured, what runs it where that is not we, and the checkouts that it is taken from
    beside ours. own: the user's servers, which `models` may name, and come first in any case.

    Raises ValueError for a Python or a checkout that cannot be had, with a line for a person.
    """
    names = [name for each in sets or () for name in SETS[each][1]] + [*(models or [])]
    known = {**MODELS, **{each.name: each for each in own}}
    names = list(dict.fromkeys(names)) or DEFAULT_MODELS
    interpreters = look_at_all(list(pythons))
    checkouts = [source.parse(text) for text in sources]
    labels = [each.label for each in checkouts]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two checkouts have one label: {', '.join(labels)}")
    chosen = {each.name: each for each in own}
    for name in names:
        model = known[name]
        variants = [model]
        if not model.own:
            variants = [model.under(each) for each in interpreters] or [model]
            variants += [each.at(checkout) for each in variants for checkout in checkouts]
        chosen |= {each.name: each for each in variants}
    return list(chosen.values()), interpreters, checkouts
