"""The command `compare`, which `python -m compare` is, too."""

from __future__ import annotations

import click

from compare.commands.check import check, explain
from compare.commands.history import diff, export, history, report, show_again
from compare.commands.instrument import doctor, list_cells, selftest
from compare.commands.run import run, scale


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet-compare")
def main() -> None:
    """Measure the same network services on every way of doing I/O in Python."""


for command in (
    *(run, scale, check, explain),
    *(history, show_again, export, report, diff),
    *(list_cells, doctor, selftest),
):
    main.add_command(command)

if __name__ == "__main__":
    main()
