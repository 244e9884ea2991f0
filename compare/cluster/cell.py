"""One cell on a cluster: one server, and one load on it, whose shards begin at one instant."""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from distributed import Future

from compare.cluster.clock import Clock
from compare.cluster.hosts import TOPIC, Hosts, Worker
from compare.cluster.shards import Driven
from compare.cluster.tasks import (
    LOOK,
    STOP,
    DriveOrder,
    ServeOrder,
    Watch,
    collect,
    drive,
    post,
    serve,
)
from compare.cluster.watch import Served
from compare.contract.hold import Held, Order
from compare.contract.plan import Peer, Plan
from compare.contract.spec import Spec
from compare.host.launch import READY_TIMEOUT_S, STOP_TIMEOUT_S, LaunchError
from compare.measure.driver_process import CONNECTS_PER_S, DriverError, limit_s
from compare.measure.idle import Seen

BUSY_S = 120.0  # that somebody else's cell may take
BEYOND_S = 30.0  # what a task's time is beyond what it should take
LEAD_S = 0.15  # from deciding on the instant to the instant
LEADS = 5  # times what it took to ask, where that is longer
LATE_SHARE = 0.1  # of a window, that it may begin late
HUNG_S = 5.0  # that nothing is heard of a worker before it is asked for the time
STEP_S = 0.1  # between looks at the tasks
LOOK_S = 1.0  # between looks at the workers
ADDRESSES = 1000  # of loopback, that a driver may have to itself
SERVER = "server"


class Cell:
    """A server and the shards of its load, as a context manager: none of them is left after.

    limit_s: nor are they there for longer than that, whatever becomes of us.

    Raises LaunchError for the server's failures, DriverError for a driver's.
    """

    def __init__(self, hosts: Hosts, limit_s: float) -> None:
        self._hosts = hosts
        self._limit_s = BUSY_S + limit_s
        self._id = secrets.token_hex(6)
        self._said: dict[tuple[str, str], Any] = {}
        self._futures: dict[str, Future] = {}
        self._workers: dict[str, Worker] = {}
        self._looked = self._probed = time.monotonic()
        self._asking_s = 0.0
        self._told: Callable[[], None] = lambda: None
        self._operations: dict[str, int] = {}
        self._counted: Callable[[int], None] = lambda operations: None

    def __enter__(self) -> Cell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # the cluster may be what is gone
            names = [name for name, each in self._futures.items() if not each.done()]
            self._post(dict.fromkeys(names, STOP))
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while time.monotonic() < deadline:
                if all(self._futures[name].done() for name in names):
                    break
                time.sleep(STEP_S / 2)
            for each in self._futures.values():
                each.release()

    # The server.

    def serve(self, worker: Worker, order: ServeOrder) -> tuple[str, int, int]:
        """Start it on that worker: where it listens, and its descriptors then."""
        self._submit(SERVER, worker, serve, order, "server")
        self._await("began", [SERVER], BUSY_S)
        within = order.model.ready_timeout_s or READY_TIMEOUT_S
        ready = self._answers("ready", [SERVER], within + BEYOND_S)
        place: tuple[str, int, int] = ready[SERVER]
        return place

    def look(self) -> Seen:
        """At the server."""
        seen: Seen = self._ask({SERVER: LOOK}, "looked", BEYOND_S)[SERVER]
        return seen

    def end(self, connections: int) -> str:
        """Stop the server: what it said last, if that was a traceback."""
        self._post({SERVER: STOP})
        self._finish([SERVER], STOP_TIMEOUT_S + BEYOND_S + connections / CONNECTS_PER_S)
        said: str = self._result(SERVER)
        return said

    # The load.

    def gather(self, workers: Sequence[Worker], host: str, port: int) -> None:
        """Have them ready to put a load on that server."""
        for number, worker in enumerate(workers):
            order = DriveOrder(
                host=host,
                port=port,
                core=worker.core,
                first=number * ADDRESSES,
                limit_s=self._limit_s,
            )
            self._submit(f"driver {number + 1}", worker, drive, order, "driver")
        self._await("began", self._drivers, BUSY_S)

    def hold(self, shares: Sequence[Order], told: Callable[[], None]) -> list[tuple[Held, int]]:
        """Open connections that stay: what became of them, and processes that hold them."""
        self._told = told
        orders = dict(zip(self._drivers, shares, strict=False))
        most = max(each.connections for each in shares)
        rate = min(CONNECTS_PER_S, shares[0].rate or CONNECTS_PER_S)
        return [*self._ask(orders, "held", BEYOND_S + most / rate).values()]

    def drive(
        self,
        shares: Sequence[Spec],
        warmup_s: float,
        duration_s: float,
        told: Callable[[int], None],
    ) -> tuple[list[Driven], Served | None]:
        """All shards from one instant on; and what the server used meanwhile, if it is ours."""
        self._told = lambda: None
        self._operations.clear()
        self._counted = told
        specs = dict(zip(self._drivers, shares, strict=False))
        most = max(each.connections for each in shares)
        counts = self._ask(specs, "connected", BEYOND_S + most / CONNECTS_PER_S)
        clocks = self._clocks()
        members = {name: each.served for name, each in counts.items()}
        together = shares[0].workload == "chat" and len(specs) > 1
        lead_s = max(LEAD_S, LEADS * self._asking_s)  # a far host hears of it late
        begin = perf_counter_ns() + int(lead_s * 1e9)
        window = begin + int(warmup_s * 1e9)
        plans: dict[str, Any] = {}
        for name in [*specs, *([SERVER] if SERVER in self._futures else [])]:
            clock = clocks[self._workers[name].address]
            peers = self._peers(name, members, clocks) if together and name != SERVER else []
            plan = Plan(clock.there(begin), clock.there(window), peers)
            plans[name] = Watch(plan, duration_s) if name == SERVER else plan
        self._forget("driven", specs)
        self._forget("watched", plans)
        self._post(plans)
        took = lead_s + max(map(limit_s, shares))
        seen = self._answers("driven", specs, took)
        served: Served | None = None
        if SERVER in plans:
            served = self._answers("watched", [SERVER], BEYOND_S)[SERVER]
        after = self._clocks()
        driven = []
        for name, outcome in seen.items():
            address = self._workers[name].address
            late_ns = clocks[address].here(outcome.began_ns) - window
            if late_ns > LATE_SHARE * duration_s * 1e9:
                raise self._failure(name, f"its window began {late_ns / 1e6:.0f} ms late")
            clock = clocks[address].drifted(after[address])
            driven.append(Driven(self._workers[name], clock, specs[name], outcome))
        return driven, served

    def _peers(
        self, name: str, members: Mapping[str, int], clocks: Mapping[str, Clock]
    ) -> list[Peer]:
        """The others, as that one is to see them."""
        ours = clocks[self._workers[name].address]
        peers = []
        for number, other in enumerate(members):
            theirs = clocks[self._workers[other].address]
            if other != name:
                offset = theirs.offset_ns - ours.offset_ns
                error = theirs.error_ns + ours.error_ns
                peers.append(Peer(number, members[other], offset, error))
        return peers

    @property
    def _drivers(self) -> list[str]:
        return [name for name in self._futures if name != SERVER]

    # What is said, and what is answered.

    def _ask(self, messages: Mapping[str, Any], what: str, seconds: float) -> dict[str, Any]:
        """Tell each something, and have its answer."""
        self._forget(what, messages)
        self._post(messages)
        return self._answers(what, messages, seconds)

    def _answers(self, what: str, names: Collection[str], seconds: float) -> dict[str, Any]:
        self._await(what, names, seconds)
        tasks: dict[str, list[str]] = {}
        for name in names:
            tasks.setdefault(self._workers[name].address, []).append(name)
        asked = time.monotonic()
        found = self._hosts.ask(
            collect,
            {each: ([self._task(name) for name in tasks[each]],) for each in tasks},
            BEYOND_S,
        )
        self._asking_s = time.monotonic() - asked
        answers: dict[str, Any] = {}
        for address, values in found.items():
            if isinstance(values, Exception):
                self._check(names, at_once=True)
                raise self._failure(tasks[address][0], f"its answer was lost: {values!r}")
            answers |= {name: values[self._task(name)] for name in tasks[address]}
        return {name: answers[name] for name in names}

    def _forget(self, what: str, names: Collection[str]) -> None:
        for name in names:
            self._said.pop((name, what), None)

    def _task(self, name: str) -> str:
        return f"{self._id}-{name}"

    def _submit(
        self, name: str, worker: Worker, task: Callable[..., Any], order: Any, resource: str
    ) -> None:
        self._workers[name] = worker
        self._futures[name] = self._hosts.client.submit(
            task,
            TOPIC,
            self._task(name),
            order,
            key=self._task(name),
            workers=[worker.address],
            allow_other_workers=False,
            resources={resource: 1},
            pure=False,
            retries=0,
        )

    def _clocks(self) -> dict[str, Clock]:
        found = self._hosts.clocks([*self._workers.values()])
        for name, worker in self._workers.items():
            if isinstance(found[worker.address], Exception):
                self._check([name], at_once=True)
                self._hosts.avoid(worker.address)
                raise self._failure(name, "it does not tell the time: it hangs, or is out of reach")
        return {address: clock for address, clock in found.items() if isinstance(clock, Clock)}

    def _post(self, messages: Mapping[str, Any]) -> None:
        """Into the inboxes of tasks, by name."""
        of_each: dict[str, list[Any]] = {}
        for name, message in messages.items():
            inbox = of_each.setdefault(self._workers[name].address, [{}])[0]
            inbox[self._task(name)] = message
        self._hosts.ask(post, of_each)

    def _await(self, what: str, names: Collection[str], seconds: float) -> None:
        """Until each has said it; or has failed, is gone, or time is over."""
        deadline = time.monotonic() + seconds
        while missing := [name for name in names if (name, what) not in self._said]:
            self._listen()
            self._check(missing)
            if what == "began" and time.monotonic() - self._probed > HUNG_S:
                self._probed = time.monotonic()
                self._clocks()  # who is only busy does tell the time
            if time.monotonic() > deadline:
                raise self._late(missing[0], seconds)

    def _finish(self, names: Collection[str], seconds: float) -> None:
        """Until the tasks have ended."""
        deadline = time.monotonic() + seconds
        while running := [name for name in names if not self._futures[name].done()]:
            self._listen()
            self._check(running)
            if time.monotonic() > deadline:
                raise self._late(running[0], seconds)

    def _listen(self) -> None:
        """Take in what tasks have said; wait a little if that is nothing."""
        with contextlib.suppress(queue.Empty):
            word = self._hosts.words.get(timeout=STEP_S)
            while True:
                task, _, name = word["from"].partition("-")
                if task == self._id and word["what"] == "operations":
                    self._operations[name] = word["value"]
                    self._counted(sum(self._operations.values()))
                elif task == self._id:
                    self._said[name, word["what"]] = word["value"]
                word = self._hosts.words.get_nowait()
        self._told()

    def _check(self, names: Collection[str], *, at_once: bool = False) -> None:
        """Raise what one of them ended of, before it was through; or the server."""
        everybody = [SERVER, *names] if SERVER in self._futures else names
        for name in everybody:
            if self._futures[name].status in ("error", "cancelled", "lost"):
                self._result(name)
        if at_once or time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            there = self._hosts.addresses()
            for name in everybody:
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
