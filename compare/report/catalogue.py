"""The matrix explained: what each cell is, and why one cannot run."""

from __future__ import annotations

from typing import get_args

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.models.matrix import MODELS, WORKLOADS
from compare.models.model import Group, Model
from compare.models.sets import DEFAULT_MODELS, SETS

FORMAT = "compare-list/1"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A workload. size: of a message, in bytes, where nothing else is said."""

    name: str
    operation: str
    connections: str
    size: int


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A model. default: measured unless others are named. By workload, meaning: what it is there;
    unsupported: why it cannot run here. exceptions: checks that it cannot pass by nature, and why.
    """

    name: str
    group: Group
    summary: str
    default: bool
    meaning: dict[str, str]
    unsupported: dict[str, str]
    exceptions: dict[str, str]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare list --json` writes. sets: models that belong together, by name."""

    format: str = FORMAT
    workloads: list[Work]
    sets: dict[str, list[str]]
    models: list[Way]


def catalogue() -> Catalogue:
    return Catalogue(
        workloads=[
            Work(**{name: getattr(each, name) for name in Work.__struct_fields__})
            for each in WORKLOADS.values()
        ],
        sets={name: list(models) for name, (_, models) in SETS.items()},
        models=[_way(each) for each in MODELS.values()],
    )


def _way(model: Model) -> Way:
    reasons = {name: model.unsupported(workload) for name, workload in WORKLOADS.items()}
    return Way(
        name=model.name,
        group=model.group,
        summary=model.summary,
        default=model.name in DEFAULT_MODELS,
        meaning=dict(model.meaning),
        unsupported={name: reason for name, reason in reasons.items() if reason},
        exceptions=dict(model.exceptions),
    )


def show_catalogue(console: Console) -> None:
    workloads = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("workload", "one operation is", "--connections are"):
        workloads.add_column(name, overflow="fold")
    for workload in WORKLOADS.values():
        workloads.add_row(workload.name, workload.operation, workload.connections)
    console.print(workloads)
    console.print()
    sets = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("--set", "what it shows", "models"):
        sets.add_column(name, overflow="fold")
    for name, (words, models) in SETS.items():
        sets.add_row(name, words, ", ".join(models) if name != "all" else f"{len(models)} models")
    console.print(sets)
    console.print()
    cells = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("model", "workload", "what it is there"):
        cells.add_column(name, overflow="fold")
    for group in get_args(Group):
        members = [model for model in MODELS.values() if model.group == group]
        if members:
            cells.add_row(f"[dim]{group}[/]")
            cells.add_section()
        for model in members:
            _add(cells, model)
    console.print(cells)


def _add(cells: Table, model: Model) -> None:
    mark = "" if model.name in DEFAULT_MODELS else " (only when named)"
    cells.add_row(f"[bold]{model.name}[/]", "all" + mark, escape(model.summary))
    for name, workload in WORKLOADS.items():
        if reason := model.unsupported(workload):
            cells.add_row("", name, f"[yellow]cannot run:[/] {escape(reason)}")
        elif meaning := model.meaning.get(name):
            cells.add_row("", name, escape(meaning))
    for reason in dict.fromkeys(model.exceptions.values()):
        ids = ", ".join(each for each, why in model.exceptions.items() if why == reason)
        cells.add_row("", "", f"cannot pass {ids}: {escape(reason)}")
    cells.add_section()
