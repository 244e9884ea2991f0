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

import compare.commands.board  # noqa: E402, F401 - a command of `class`
from compare.commands.check import check, explain  # noqa: E402
from compare.commands.classroom import classroom  # noqa: E402
from compare.commands.ending import Ending  # noqa: E402
from compare.commands.history import diff, export, history, report, show_again  # noqa: E402
from compare.commands.instrument import doctor, list_cells, selftest  # noqa: E402
from compare.commands.learn import learn  # noqa: E402
from compare.commands.run import run, scale  # noqa: E402
from compare.commands.see import see  # noqa: E402

if _handler is signal.default_int_handler:
    signal.signal(signal.SIGINT, _handler)


@click.group(cls=Ending, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet-compare")
def main() -> None:
    """Measure the same network services on every way of doing I/O in Python."""


for command in (
    *(run, scale, check, explain, see, learn),
    *(history, show_again, export, report, diff),
    *(list_cells, doctor, selftest, classroom),
):
    main.add_command(command)

if __name__ == "__main__":
    main()
