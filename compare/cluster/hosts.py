"""The workers of a cluster: which there are, what they are, and what time it is there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from distributed import Client
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from compare.cluster.clock import SAME, Clock, estimate
from compare.cluster.tasks import Look, look, versions, what_time
from compare.measure.testbed import Gone

JOIN_S = 10.0
ASK_S = 5.0  # for what takes milliseconds
TOPIC = "aionet-compare"  # one for all runs: a scheduler never forgets a topic
TIMES = 8  # that a clock is asked

Resource = str  # driver, server


class ClusterError(Exception):
    """The cluster cannot be used; the message is for a person."""


@dataclass(frozen=True)
class Worker:
    """A worker that a cell has: `core` is where it runs what it starts; None is anywhere."""

    address: str
    look: Look
    core: int | None

    @property
    def host(self) -> str:
        """Its address without scheme and port, as others reach it."""
        return self.address.partition("://")[2].rpartition(":")[0].strip("[]")

    @property
    def place(self) -> tuple[str, int] | None:
        """The core, and of which host."""
        return None if self.core is None else (self.look.boot, self.core)


class Hosts:
    """A connection to a scheduler, as a context manager.

    Raises ClusterError where there is none, and Gone, later, where there is none any more.
    """

    def __init__(self, address: str, security: Security | None = None) -> None:
        warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # we look ourselves
        for name in [*logging.root.manager.loggerDict]:
            if name.partition(".")[0] == "distributed":
                logging.getLogger(name).setLevel(logging.CRITICAL)  # we say it ourselves
        self.address = address
        self._looks: dict[str, Look] = {}
        self._avoided: set[str] = set()
        self.words: queue.Queue[Mapping[str, Any]] = queue.Queue()  # that tasks have said
        try:
            self.client = Client(
                address, security=security, timeout=JOIN_S, set_as_default=False, name="compare"
            )
        except Exception as error:
            raise ClusterError(
                f"nobody answers as a Dask scheduler at {address}: {_words(error)}"
            ) from None

        self.client.subscribe_topic(TOPIC, lambda event: self.words.put(event[1]))

    def __enter__(self) -> Hosts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):
            self.client.close(timeout=ASK_S)

    def addresses(self, resource: Resource | None = None) -> list[str]:
        """Of all workers, or of those that have a resource. Raises Gone."""
        try:
            info = self.client.sync(
                self.client.scheduler.identity, n_workers=-1, callback_timeout=ASK_S
            )
        except Exception:
            raise Gone(f"the scheduler at {self.address} is gone") from None
        return sorted(
            address
            for address, each in info["workers"].items()
            if (resource is None or each["resources"].get(resource))
            and address not in self._avoided
        )

    def avoid(self, address: str) -> None:
        """It does not answer: give it nothing any more."""
        self._avoided.add(address)

    def ask(
        self,
        function: Callable[..., Any],
        of_each: Mapping[str, Sequence[Any]],
        seconds: float = ASK_S,
    ) -> dict[str, Any]:
        """Call it on those workers, beside their tasks, each with its own arguments.

        What it raised, or TimeoutError, is in the place of an answer.
        """

        async def ask_all() -> list[Any]:
            return await asyncio.gather(
                *(
                    self._ask(function, address, words, seconds)
                    for address, words in of_each.items()
                ),
                return_exceptions=True,
            )

        return dict(zip(of_each, self.client.sync(ask_all), strict=True))

    async def _ask(
        self,
        function: Callable[..., Any],
        address: str,
        arguments: Sequence[Any],
        seconds: float = ASK_S,
    ) -> Any:
        answers = await asyncio.wait_for(
            self.client.run(function, *arguments, workers=[address]), seconds
        )
        return answers[address]

    def look_at(self, addresses: Sequence[str]) -> dict[str, Look]:
        """What they are. Raises ClusterError where they are not what we are."""
        unknown = [each for each in addresses if each not in self._looks]
        for address, answer in self.ask(look, dict.fromkeys(unknown, ())).items():
            if isinstance(answer, Exception):
                raise ClusterError(f"the worker {address} cannot run compare: {_words(answer)}")
            ours = versions()
            for name, version in answer.versions.items():
                if version != ours[name]:
                    raise ClusterError(
                        f"{name} {version} on the worker {address}, and {ours[name]} here: install "
                        "the same on all hosts"
                    )
            self._looks[address] = answer
        return {each: self._looks[each] for each in addresses}

    def placed(self, server: str | None, drivers: Sequence[str]) -> list[Worker]:
        """Each with a core to itself as far as there are so many: the server, then the drivers."""
        everybody = [*([server] if server else []), *drivers]
        looks = self.look_at(everybody)
        used: Counter[tuple[str, int]] = Counter()
        placed = []
        for address in everybody:
            here = looks[address]
            cores = here.cores if address == server else here.cores[::-1]
            core = min(cores, key=lambda core: used[here.boot, core])
            # The server's own is nobody else's, if at all possible.
            used[here.boot, core] += len(cores) + len(everybody) if address == server else 1
            placed.append(Worker(address, here, core))
        return placed

    def clocks(self, workers: Sequence[Worker]) -> dict[str, Clock | BaseException]:
        """Of each beside ours, or why it does not tell. All are asked, even who shares our clock:
        who does not answer hangs.
        """
        boot = look().boot
        same = {each.address for each in workers if each.look.boot == boot}
        addresses = list(dict.fromkeys(each.address for each in workers))

        async def ask(address: str) -> Clock:
            asked = []
            for _ in range(1 if address in same else TIMES):
                sent = perf_counter_ns()
                theirs = await self._ask(what_time, address, ())
                asked.append((sent, theirs, perf_counter_ns()))
            return SAME if address in same else estimate(asked)

        async def ask_all() -> list[Clock | BaseException]:
            return await asyncio.gather(*map(ask, addresses), return_exceptions=True)

        return dict(zip(addresses, self.client.sync(ask_all), strict=True))


def _words(error: BaseException) -> str:
    said = str(error).splitlines()
    return said[0] if said else type(error).__name__
