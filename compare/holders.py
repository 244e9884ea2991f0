"""Many connections from several processes, since one may not have enough descriptors."""

from __future__ import annotations

import contextlib
import resource
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import msgspec

from compare.driver.hold import Held, Order
from compare.driver.load import Counts
from compare.driver_process import DriverError
from compare.histogram import encode, merge
from compare.launch import Server, kill, start
from compare.machine import ephemeral_ports

SPARE_DESCRIPTORS = 64
PER_ADDRESS = 0.5  # of the ephemeral ports: finding a free one among few takes long
STEP_S = 0.5  # how often the caller hears that they are under way


class Holders:
    """Processes that hold connections to a server, as a context manager: gone after."""

    def __init__(self, server: Server, core: int | None, size: int, seed: int) -> None:
        self._server = server
        self._core = core
        self._size = size
        self._seed = seed
        self._processes: list[subprocess.Popen[bytes]] = []
        self._blocks = 0

    def __enter__(self) -> Holders:
        return self

    def __len__(self) -> int:
        """How many processes there are."""
        return len(self._processes)

    def open(self, connections: int, rate: float | None, wait: Callable[[], None]) -> Held:
        """Open so many more, each served once; `wait` is called now and then meanwhile.

        Raises DriverError.
        """
        most = per_process()
        parts = -(-connections // most)
        shares = [connections // parts + (n < connections % parts) for n in range(parts)]
        processes = [self._start(share, rate and rate * share / connections) for share in shares]
        return _merge(self._read(processes, wait))

    def _start(self, connections: int, rate: float | None) -> subprocess.Popen[bytes]:
        process = start(
            [sys.executable, "-m", "compare.driver.hold"],
            self._core,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        order = Order(
            host=self._server.host,
            port=self._server.port,
            connections=connections,
            sources=self._addresses(connections),
            size=self._size,
            seed=self._seed,
            rate=rate,
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        return process

    def _addresses(self, connections: int) -> list[str]:
        """Loopback addresses that no other of these processes uses, as many as it takes."""
        if not self._server.host.startswith("127."):
            return []
        needed = -(-connections // int(ephemeral_ports() * PER_ADDRESS))
        block, self._blocks = self._blocks, self._blocks + needed
        return [
            f"127.{2 + n // 250 // 250}.{n // 250 % 250}.{1 + n % 250}"
            for n in range(block, block + needed)
        ]

    def _read(
        self, processes: list[subprocess.Popen[bytes]], wait: Callable[[], None]
    ) -> list[Held]:
        found = []
        with selectors.DefaultSelector() as selector:
            for process in processes:
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, process)
            while selector.get_map():
                for key, _ in selector.select(STEP_S):
                    selector.unregister(key.fileobj)
                    line = key.data.stdout.readline()
                    if not line:
                        raise DriverError("a process that held connections ended: out of memory?")
                    found.append(msgspec.json.decode(line, type=Held))
                wait()
        return found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):
                kill(process)


def per_process() -> int:
    """Connections that one process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (1_000_000 if hard == resource.RLIM_INFINITY else hard) - SPARE_DESCRIPTORS


def _merge(parts: list[Held]) -> Held:
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
    return Held(
        counts=Counts(
            **{
                name: sum(getattr(part.counts, name) for part in parts)
                for name in Counts.__struct_fields__
            }
        ),
        errors=dict(errors),
        details=[detail for part in parts for detail in part.details][:3],
        connect=encode(merge([part.connect for part in parts])),
        first_reply=encode(merge([part.first_reply for part in parts])),
        late=sum(part.late for part in parts),
        took_ns=max(part.took_ns for part in parts),
        stopped=next((part.stopped for part in parts if part.stopped), None),
    )
