"""python -m compare.driver: a Spec as JSON on stdin, an Outcome as JSON on stdout."""

from __future__ import annotations

import gc
import sys

import msgspec

from compare.driver.drive import drive
from compare.driver.load import Spec


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
    gc.disable()  # nothing here is cyclic, and a collection would stall every connection
    sys.stdout.buffer.write(msgspec.json.encode(drive(spec)))


if __name__ == "__main__":
    main()
