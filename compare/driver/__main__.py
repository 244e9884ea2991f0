"""python -m compare.driver: a Spec as a line of JSON on stdin, Outcomes as JSON on stdout.

Before that a line on stdout, some ten times a second, with the number of operations so far. One
of several drivers says in a line what became of its connections, Counts as JSON, and waits for a
Plan, which comes as a line, too.
"""

from __future__ import annotations

import gc
import os
import sys

import msgspec

from compare.contract.counts import Counts
from compare.contract.plan import Plan
from compare.contract.spec import Spec
from compare.driver.drive import drive


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)
    gc.disable()  # nothing here is cyclic, and a collection would stall every connection
    out = sys.stdout.fileno()

    def agree(counts: Counts) -> Plan:
        os.write(out, msgspec.json.encode(counts) + b"\n")
        return msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)

    def told(operations: int) -> None:
        os.write(out, b"%d\n" % operations)

    outcomes = drive(spec, told, agree if spec.shard else None)
    sys.stdout.buffer.write(msgspec.json.encode(outcomes))
    sys.stdout.buffer.flush()
    os._exit(0)  # to free millions of small things one by one would take a moment


if __name__ == "__main__":
    main()
