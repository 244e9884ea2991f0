"""Several drivers on this machine: where they run, and how soon they are gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from machine import let_no_thread_begin

from compare.cluster import several
from compare.cluster.several import Several, seats_of
from compare.contract.spec import Spec, Target
from compare.host.cores import Cores
from compare.measure.driver_process import Driver, DriverError

pytestmark = pytest.mark.timeout(15)


@pytest.mark.parametrize(
    ("many", "cores", "seats"),
    [
        (2, Cores((0,), 3), [3, 1]),
        (4, Cores((0,), 3), [3, 1, 2, 3]),
        (3, Cores((0, 1, 2), 3), [3, 3, 3]),
        (2, Cores((1,), 1), [1, 0]),
        (2, Cores(), [None, None]),
    ],
)
def test_first_driver_is_where_the_driver_is_to_be_and_the_others_beside_it(
    monkeypatch: pytest.MonkeyPatch, many: int, cores: Cores, seats: list[int | None]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert seats_of(many, cores) == seats


@pytest.mark.parametrize("first", [True, False])
def test_driver_that_failed_by_itself_says_why_and_not_who_waited_for_it(*, first: bool) -> None:
    """Both end in the same moment, and which is looked at first is chance."""
    others: Future[Any] = Future()
    others.set_exception(several._OtherError("another driver failed"))
    itself: Future[Any] = Future()
    itself.set_exception(DriverError("signal 9"))
    with pytest.raises(DriverError, match="signal 9"):
        several._all_of([itself, others] if first else [others, itself])


@pytest.mark.parametrize("many", [0, 1, 2])
def test_machine_that_lets_no_thread_begin_is_told(
    monkeypatch: pytest.MonkeyPatch, made_up_spec: Callable[..., Spec], many: int
) -> None:
    let_no_thread_begin(monkeypatch, "ThreadPoolExecutor", many)
    place: Any = SimpleNamespace(host="127.0.0.1", port=9, pid=os.getpid())
    spec = made_up_spec(targets=[Target("127.0.0.1", 9)])
    with pytest.raises(DriverError, match="cannot start anything here: can't start new thread"):
        Several(2, Cores())._drive(place, [spec, spec], lambda operations: None)


def test_driver_that_is_still_connecting_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor is one whose pipes are closed while somebody else looks at them."""
    started: list[Driver] = []
    closed, interrupted = threading.Event(), threading.Event()

    class Watched(Driver):
        def __init__(self, core: int | None) -> None:
            super().__init__(core)
            started.append(self)

        def __exit__(self, *exception: Any) -> None:
            super().__exit__(*exception)
            if self is started[0]:  # the last to end
                closed.set()

    def told(_: int) -> None:
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
        closed.wait(1.0)

    monkeypatch.setattr(several, "Driver", Watched)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        host, port = server.getsockname()
        spec = Spec(
            workload="tcp-long",
            targets=[Target(host, port)],
            connections=8,
            size=100,
            warmup_s=0.0,
            slice_s=0.1,
            seed=1,
        )
        place: Any = SimpleNamespace(host=host, port=port, pid=os.getpid())
        driving = True

        def interrupt(*_: object) -> None:
            if driving:  # and not whatever runs the tests
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                Several(2, Cores())._drive(place, [spec, spec], told)
        finally:
            driving = False
            signal.signal(signal.SIGINT, before)
    assert len(started) == 2
