"""The name of a file or folder, as an option takes it."""

from __future__ import annotations

from typing import Any

import click


class File(click.Path):
    """As click.Path, but never nothing, nor the next option, where the name was forgotten."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # of a variable that is empty, as a rule
            self.fail("a name is missing: '' is none", param, ctx)
        if isinstance(value, str) and value.startswith("-") and value != "-":
            said = f"a name is missing before {value}; a file that is called so is ./{value}"
            self.fail(said, param, ctx)
        return super().convert(value, param, ctx)
