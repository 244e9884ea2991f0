"""One cell on a cluster: one experiment, whose shards begin at one instant."""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from distributed import Future

from compare.cluster.clock import Clock
from compare.cluster.hosts import Hosts, Worker
from compare.cluster.tasks import STOP, Address, DriveOrder, Served, ServeOrder, drive, post, serve
from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.driver.plan import Plan
from compare.driver_process import CONNECTS_PER_S, GRACE_S, DriverError
from compare.launch import READY_TIMEOUT_S, STOP_TIMEOUT_S, LaunchError

BUSY_S = 120.0  # that somebody else's cell may take
BEYOND_S = 30.0  # what a task's time is beyond what it should take
LEAD_S = 0.15  # from deciding on the instant to the instant
STEP_S = 0.1  # between looks at the tasks
LOOK_S = 1.0  # between looks at the workers
SERVER = "server"


@dataclass(frozen=True)
class Shard:
    """What one driver was to do, where, by which clock, and what it saw."""

    worker: Worker
    clock: Clock
    spec: Spec
    outcome: Outcome


class Cell:
    """A server and the shards of its load, as a context manager: none of them is left after.

    Raises LaunchError for the server's failures, DriverError for a driver's.
    """

    def __init__(self, hosts: Hosts, told: Callable[[int], None]) -> None:
        self._hosts = hosts
        self._told = told
        self._topic = f"compare-{secrets.token_hex(6)}"
        self._words: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._said: dict[tuple[str, str], Any] = {}
        self._operations: dict[str, int] = {}
        self._futures: dict[str, Future] = {}
        self._workers: dict[str, Worker] = {}
        self._looked = time.monotonic()

    def __enter__(self) -> Cell:
        self._hosts.client.subscribe_topic(self._topic, lambda event: self._words.put(event[1]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # the cluster may be what is gone
            self._stop([name for name, each in self._futures.items() if not each.done()])
            self._hosts.client.unsubscribe_topic(self._topic)
            for each in self._futures.values():
                each.release()

    def _stop(self, names: Collection[str]) -> None:
        self._post(dict.fromkeys(names, STOP))
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if all(self._futures[name].done() for name in names):
                return
            time.sleep(STEP_S / 2)

    def address(self, name: str) -> Address:
        return Address(self._topic, f"{self._topic}-{name}")

    def start(self, worker: Worker, order: ServeOrder) -> tuple[str, int]:
        """The server, on that worker: where it listens."""
        self._submit(SERVER, worker, serve, order, "server")
        self._await("began", [SERVER], BUSY_S)
        _, host, port = self._await("ready", [SERVER], READY_TIMEOUT_S + BEYOND_S)[SERVER]
        return host, port

    def drive(
        self, shares: Sequence[tuple[Worker, Spec]], warmup_s: float, duration_s: float
    ) -> list[Shard]:
        """All shards, from one instant on; and the server's meters with them."""
        names = {f"driver {n}": each for n, each in enumerate(shares, 1)}
        for name, (worker, spec) in names.items():
            order = DriveOrder(
                task=self.address(name), spec=spec, core=worker.core, limit_s=self._limit_s(spec)
            )
            self._submit(name, worker, drive, order, "driver")
        self._await("began", names, BUSY_S)
        most = max(spec.connections for _, spec in shares)
        self._await("connected", names, BEYOND_S + most / CONNECTS_PER_S)
        clocks = self._clocks()
        begin = perf_counter_ns() + int(LEAD_S * 1e9)
        window = begin + int(warmup_s * 1e9)
        self._post(
            {
                name: Plan(clock.there(begin), clock.there(window))
                for name, worker in self._workers.items()
                if (clock := clocks[worker.address])
            }
        )
        took = LEAD_S + warmup_s + duration_s + GRACE_S + most / CONNECTS_PER_S
        self._finish(names, took)
        return [
            Shard(worker, clocks[worker.address], spec, self._result(name))
            for name, (worker, spec) in names.items()
        ]

    def end(self) -> Served | None:
        """Stop the server: what it used."""
        self._post({SERVER: STOP})
        self._finish([SERVER], STOP_TIMEOUT_S + BEYOND_S)
        served = self._result(SERVER)
        assert served is None or isinstance(served, Served)
        return served

    @staticmethod
    def _limit_s(spec: Spec) -> float:
        work = spec.warmup_s + spec.duration_s + GRACE_S
        return BUSY_S + work + 2 * spec.connections / CONNECTS_PER_S + BEYOND_S

    def _submit(
        self, name: str, worker: Worker, task: Callable[..., Any], order: Any, resource: str
    ) -> None:
        self._workers[name] = worker
        self._futures[name] = self._hosts.client.submit(
            task,
            order,
            key=self.address(name).name,
            workers=[worker.address],
            allow_other_workers=False,
            resources={resource: 1},
            pure=False,
            retries=0,
        )

    def _clocks(self) -> dict[str, Clock]:
        try:
            return self._hosts.clocks([*self._workers.values()])
        except Exception as error:
            self._check(self._workers)
            raise DriverError(f"a worker does not tell the time: {error}") from None

    def _post(self, messages: Mapping[str, Any]) -> None:
        """Into the inboxes of tasks, by name."""
        of_each: dict[str, list[Any]] = {}
        for name, message in messages.items():
            inbox = of_each.setdefault(self._workers[name].address, [{}])[0]
            inbox[self.address(name).name] = message
        self._hosts.ask(post, of_each)

    def _await(self, what: str, names: Collection[str], seconds: float) -> dict[str, Any]:
        """Until each has said it; or has failed, is gone, or time is over."""
        deadline = time.monotonic() + seconds
        while missing := [name for name in names if (name, what) not in self._said]:
            self._listen()
            self._check(missing)
            if time.monotonic() > deadline:
                raise self._late(missing[0], seconds)
        return {name: self._said[name, what] for name in names}

    def _finish(self, names: Collection[str], seconds: float) -> None:
        """Until the tasks have ended."""
        deadline = time.monotonic() + seconds
        while running := [name for name in names if not self._futures[name].done()]:
            self._listen()
            self._check([*running, *([SERVER] if SERVER in self._futures else [])])
            if time.monotonic() > deadline:
                raise self._late(running[0], seconds)

    def _listen(self) -> None:
        """Take in what tasks have said; wait a little if that is nothing."""
        with contextlib.suppress(queue.Empty):
            word = self._words.get(timeout=STEP_S)
            while True:
                name = word["from"].removeprefix(f"{self._topic}-")
                if word["what"] == "operations":
                    self._operations[name] = word["value"]
                    self._told(sum(self._operations.values()))
                else:
                    self._said[name, word["what"]] = word["value"]
                word = self._words.get_nowait()

    def _check(self, names: Collection[str]) -> None:
        """Raise what one of them ended of, before it was through."""
        for name in names:
            if self._futures[name].status in ("error", "cancelled", "lost"):
                self._result(name)
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            there = self._hosts.addresses()
            for name in names:
                if self._workers[name].address not in there and not self._futures[name].done():
                    raise self._failure(name, "its worker left the cluster meanwhile")

    def _result(self, name: str) -> Any:
        try:
            return self._futures[name].result(timeout=BEYOND_S)
        except LaunchError:
            raise
        except Exception as error:
            words = str(error).splitlines() or [type(error).__name__]
            if not isinstance(error, DriverError):
                self._hosts.addresses()  # raises, if it is the scheduler that is gone
            raise self._failure(name, words[0]) from None

    def _late(self, name: str, seconds: float) -> Exception:
        if (name, "began") not in self._said:
            return self._failure(name, f"its worker was busy with something else for {seconds:g} s")
        self._hosts.avoid(self._workers[name].address)
        return self._failure(name, f"no word for {seconds:.0f} s: it hangs, or is out of reach")

    def _failure(self, name: str, words: str) -> Exception:
        where = f"{name} on {self._workers[name].address}"
        if name == SERVER:
            return LaunchError(f"the {where}: {words}")
        return DriverError(f"{where}: {words}")
