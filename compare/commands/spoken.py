"""Servers of the user's own that nobody said of what they serve: they are asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import click
from click.core import ParameterSource

from compare.check.speaks import spoken
from compare.host.launch import LaunchError
from compare.measure.gate import PROFILE_OF
from compare.models.matrix import WORKLOADS
from compare.models.model import Model

_WORDS = {
    "tcp-echo": "echoes over TCP",
    "udp-echo": "echoes over UDP",
    "chat": "speaks first over TCP, as a chat does",
}


def found_out(own: list[Model], workloads: Collection[str]) -> list[Model]:
    """The same, each with what it cannot be measured under, which it was asked.

    Where --workloads was typed, or the server's own table says it, nobody is asked. Raises
    click.UsageError for a server that answers like none of them.
    """
    source = click.get_current_context().get_parameter_source("workloads")
    services = {WORKLOADS[each].service for each in workloads}
    if source is not ParameterSource.DEFAULT or len(services) < 2:
        return own
    return [each if each.cannot else _asked(each) for each in own]


def _asked(model: Model) -> Model:
    try:
        profile = spoken(tuple(model.typed()), model.cwd, model.surroundings)
    except LaunchError:  # each of its cells will say so
        return model
    if profile is None:
        raise click.UsageError(
            f"{model.name} neither echoes what it is sent nor speaks first: say by --workloads "
            f"what it serves, of {', '.join(WORKLOADS)}."
        )
    serves = [each.name for each in WORKLOADS.values() if PROFILE_OF[each.service] == profile]
    words = _WORDS[profile]
    click.echo(
        f"{model.name} {words}: measured under {' and '.join(serves)} (or say --workloads)",
        err=True,
    )
    others = [each for each in WORKLOADS if each not in serves]
    return replace(
        model, cannot=dict.fromkeys(others, f"it {words}; --workloads asks it all the same")
    )
