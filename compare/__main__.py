"""The command `compare`, which `python -m compare` is, too."""

from __future__ import annotations

import signal
import sys

if sys.platform != "linux":
    sys.exit("compare: Linux is needed, whose epoll, /proc and CPU affinity it measures by")

_handler = signal.getsignal(signal.SIGINT)
if _handler is signal.default_int_handler:  # nothing is begun yet that would have to be ended
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import click  # noqa: E402

from compare.commands.ending import Ending  # noqa: E402

if _handler is signal.default_int_handler:
    signal.signal(signal.SIGINT, _handler)

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
