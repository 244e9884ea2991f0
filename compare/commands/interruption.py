"""What ends a command in order: Ctrl-C, SIGTERM, a terminal that is closed, Ctrl-\\; once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from compare.host.launch import INTERRUPTIONS


@contextlib.contextmanager
def interrupted_once() -> Iterator[None]:
    """The first of them raises KeyboardInterrupt, and what comes meanwhile is not heard.

    So what is put away then is put away to its end. What was ignored stays so, as with nohup(1).
    """
    former: dict[signal.Signals, Any] = {}

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        for each in former:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in INTERRUPTIONS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            former[each] = signal.signal(each, interrupt)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
