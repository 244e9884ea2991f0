"""Any of our servers, whose handlers do something: they work, wait, or are slow at times.

    python -m compare.contenders.loaded --work 50 --size 1000 blocking serve echo --model epoll

What stands behind the options is the command that starts the server, without `python -m`; times
are in microseconds.
"""

from __future__ import annotations

import argparse
import runpy
import sys

from aionet import command
from compare.contenders.handler import Cost
from compare.contenders.waits import Around


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m compare.contenders.loaded", allow_abbrev=False)
    parser.add_argument("--work", type=float, default=0.0, metavar="US", help="CPU of a message")
    parser.add_argument("--wait", type=float, default=0.0, metavar="US", help="before an answer")
    parser.add_argument("--slow-share", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--slow", type=float, default=0.0, metavar="US", help="CPU of that share")
    parser.add_argument("--size", type=int, default=1, metavar="BYTES", help="of a message")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    cost = Cost(given.work, given.wait, given.slow_share, given.slow, given.size, given.seed)
    command.AROUND.append(Around(given.module, cost))
    sys.argv = [given.module, *given.arguments]
    runpy.run_module(given.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
