"""The command `compare`, which `python -m compare` is, too."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    sys.exit("compare: Linux is needed, whose epoll, /proc and CPU affinity it measures by")

from compare.commands.beginning import ended_by_interrupts

with ended_by_interrupts():
    import click

    from compare.commands.ending import Ending

HOMES = {  # in compare/commands/
    "run": "run:run",
    "scale": "run:scale",
    "check": "check:check",
    "explain": "check:explain",
    "see": "see:see",
    "learn": "learn:learn",
    "class": "classroom:classroom",
    "history": "history:history",
    "show": "history:show_again",
    "export": "history:export",
    "report": "history:report",
    "diff": "history:diff",
    "list": "instrument:list_cells",
    "doctor": "instrument:doctor",
    "selftest": "instrument:selftest",
}


@click.group(cls=Ending, homes=HOMES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet-compare")
def main() -> None:
    """Measure the same network services on every way of doing I/O in Python."""


if __name__ == "__main__":
    main()
