"""What an operation is made of, as figures: a flame graph for each cell, and its system calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from compare.report.figures import Figure, Trace, identify
from compare.report.profiles import sampled
from compare.results.frames import LEAST, functions_of
from compare.results.profile import Frame, Profile
from compare.results.records import Cell, Load


class Made(msgspec.Struct, frozen=True):
    """Of a cell: its flame graph, if it has one, and its system calls in rows.

    id: where to look for both. calls: the first is the head. said: what is not known.
    """

    id: str
    model: str
    flame: Figure | None
    calls: list[list[str]]
    said: list[str]


def made_of(load: Load, cell: Cell, number: int) -> Made | None:
    """Where it was profiled. number: what no other cell of the load has."""
    profile = cell.profile
    if profile is None:
        return None
    said = [f"Its system calls are not known: {profile.why_not}."] if profile.why_not else []
    if profile.frames and profile.frames.why_not:
        said.append(f"Where its CPU goes is not known: {profile.frames.why_not}.")
    return Made(
        identify(f"profile-{number}", load),
        cell.model,
        _flame(load, cell.model, profile, number),
        _calls(profile),
        said,
    )


def _calls(profile: Profile) -> list[list[str]]:
    rows = [
        [each.name, *map(_number, (each.per_op, each.errors_per_op, each.us_per_op))]
        for each in profile.calls
    ]
    head = ["system call", "for an operation", "in vain", "system time, µs an operation"]
    return [head, *rows] if rows else []


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # and not -0.000


def _flame(load: Load, model: str, profile: Profile, number: int) -> Figure | None:
    if profile.frames is None or not profile.frames.frames:
        return None
    frames = profile.frames.frames
    called: dict[int | None, list[int]] = {}
    for place, frame in enumerate(frames):
        called.setdefault(frame.caller, []).append(place)
    top: int | None = None
    while len(under := called.get(top, [])) == 1 and frames[under[0]].own < LEAST:
        top = under[0]  # it does nothing but call the next one
    depths: dict[int | None, int] = {top: 0}
    for place, frame in enumerate(frames):
        if frame.caller in depths:
            depths[place] = depths[frame.caller] + 1
    shown = [place for place in depths if place is not None and place != top]
    trace: Trace = {
        "type": "icicle",
        "ids": ["all", *map(str, shown)],
        "labels": [_plain(model), *(_plain(frames[place].name) for place in shown)],
        "parents": ["", *("all" if (up := frames[p].caller) == top else str(up) for p in shown)],
        "values": [0, *(_rest(frames, place, called) for place in shown)],
        "customdata": ["all of its CPU time", *(_said(frames[place]) for place in shown)],
        "languages": ["all", *("Python" if frames[p].is_python else "C" for p in shown)],
    }
    return Figure(
        identify(f"flame-{number}", load),
        f"Where the CPU time of {model} goes",
        "Each bar is a function below the one that called it, as wide as its share, and what it "
        "calls has a part of that; blue is Python, the other C. Click on one to look closer, and "
        "on the top one to go back. "
        f"Made {sampled(profile.frames)}.",
        [trace],
        {"lines": max(depths.values()) + 1},
        _functions(frames),
    )


def _rest(frames: Sequence[Frame], place: int, called: Mapping[int | None, list[int]]) -> float:
    """What it has in % that none of those has which it calls."""
    theirs = sum(frames[each].share for each in called.get(place, ()))
    return round(100 * max(0.0, frames[place].share - theirs), 3)


def _said(frame: Frame) -> str:
    return f"{_plain(frame.file)}<br>{100 * frame.share:.1f} %, own {100 * frame.own:.1f} %"


def _functions(frames: Sequence[Frame]) -> list[list[str]]:
    rows = [["function of Python", "file", "% of CPU time", "of it in functions of C"]]
    for each in functions_of(frames):
        if each.share >= LEAST:
            on = sorted(each.on.items(), key=lambda pair: -pair[1])
            words = ", ".join(f"{name} {100 * share:.1f}" for name, share in on if share >= LEAST)
            rows.append([each.name, each.file, f"{100 * each.share:.1f}", words])
    return rows


def _plain(text: str) -> str:
    """Nothing of it is a tag to plotly."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
