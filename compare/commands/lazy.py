"""Commands that are imported when they are called: who asks for one waits for no other."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from compare.commands.beginning import ended_by_interrupts


class Lazy(click.Group):
    """A group that knows of its commands where they are.

    homes: of each by its name `module:attribute`, the module in `compare.commands`.
    """

    def __init__(self, *given: Any, homes: Mapping[str, str], **named: Any) -> None:
        super().__init__(*given, **named)
        self._homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._homes})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in self._homes:
            module, _, attribute = self._homes[cmd_name].partition(":")
            with ended_by_interrupts():
                home = importlib.import_module(f"compare.commands.{module}")
            self.add_command(getattr(home, attribute), cmd_name)
        return super().get_command(ctx, cmd_name)
