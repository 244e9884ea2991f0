"""python -m compare.driver: a Spec as JSON on stdin, an Outcome as JSON on stdout.

Before that a line on stdout, some ten times a second, with the number of operations so far.
"""

from __future__ import annotations

import gc
import os
import sys

import msgspec

from compare.driver.drive import drive
from compare.driver.load import Spec


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
    gc.disable()  # nothing here is cyclic, and a collection would stall every connection
    out = sys.stdout.fileno()
    outcome = drive(spec, lambda operations: (os.write(out, b"%d\n" % operations), None)[1])
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
