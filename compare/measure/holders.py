"""Many connections from several processes, since one may not have enough descriptors."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import msgspec
import psutil
from msgspec.json import Decoder

from compare.contract.counts import added
from compare.contract.histogram import encode, merge
from compare.contract.hold import Held, Order
from compare.host.guard import Guard
from compare.host.launch import kill, start
from compare.host.limits import per_process
from compare.host.machine import ephemeral_ports
from compare.measure.driver_process import DriverError, how_ended, record
from compare.models.source import OURS, first_on_path

PER_ADDRESS = 0.5  # of the ephemeral ports: finding a free one among few takes long
STEP_S = 0.5  # how often the caller hears that they are under way
HELD = Decoder(Held)


class Holders:
    """Processes that hold connections to a server, as a context manager: gone after.

    first: where in the loopback addresses theirs begin, so that others can have others.
    limit_s: they are not there for longer than that, whatever becomes of us.
    """

    def __init__(
        self,
        server: tuple[str, int],
        core: int | None,
        first: int = 0,
        limit_s: float | None = None,
    ) -> None:
        self._server = server
        self._core = core
        self._processes: list[subprocess.Popen[bytes]] = []
        self._next = first
        self._limit_s = limit_s
        self._guards = contextlib.ExitStack()

    def __enter__(self) -> Holders:
        return self

    def __len__(self) -> int:
        """How many processes there are."""
        return len(self._processes)

    def open(self, order: Order, wait: Callable[[], None]) -> Held:
        """Open so many more, each served once; `wait` is called now and then meanwhile.

        Where the server is, and where to connect from, are ours to say. Raises DriverError.
        """
        parts = -(-order.connections // per_process())
        return merge_held(
            self._read([self._start(each) for each in split_order(order, parts)], wait)
        )

    def check(self) -> None:
        """Raises DriverError if one is gone, and its connections with it."""
        for process in self._processes:
            if process.poll() is not None:
                raise _ended(process)

    def _start(self, share: Order) -> subprocess.Popen[bytes]:
        try:
            process = start(
                [sys.executable, "-P", "-m", "compare.driver.hold"],
                () if self._core is None else (self._core,),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=first_on_path(str(OURS)),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DriverError(f"cannot start a process that holds connections: {error}") from None
        self._processes.append(process)
        if self._limit_s is not None:
            self._guards.enter_context(Guard(process.pid, self._limit_s))
        host, port = self._server
        order = msgspec.structs.replace(
            share, host=host, port=port, sources=self._addresses(share.connections)
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # _read() will see how it ended
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
        return process

    def _addresses(self, connections: int) -> list[str]:
        """Where to connect from: loopback addresses that no other of these processes uses, as
        many as it takes; to another host, all that the interface has which leads there.
        """
        host = self._server[0]
        if not host.startswith("127."):
            return own_addresses(host)
        needed = -(-connections // int(ephemeral_ports() * PER_ADDRESS))
        block, self._next = self._next, self._next + needed
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
                    if not line.endswith(b"\n"):
                        raise _ended(key.data)
                    found.append(record(line, HELD))
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
        self._guards.close()


def _ended(process: subprocess.Popen[bytes]) -> DriverError:
    return DriverError(f"a process that held connections ended: {how_ended(process.wait())}")


def own_addresses(host: str) -> list[str]:
    """The IPv4 addresses of the interface that leads to `host`; none where it has only one."""
    if ":" in host:
        return []
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((host, 9))  # sends nothing; discard, RFC 863
        except OSError:
            return []
        ours = sock.getsockname()[0]
    for addresses in psutil.net_if_addrs().values():
        own = [each.address for each in addresses if each.family == socket.AF_INET]
        if ours in own:
            return own if len(own) > 1 else []
    return []


def shares(total: int, parts: int) -> list[int]:
    """As even as can be."""
    return [total // parts + (number < total % parts) for number in range(parts)]


def split_order(order: Order, parts: int) -> list[Order]:
    """Connections and rate, shared out."""
    total = order.connections
    return [
        msgspec.structs.replace(
            order, connections=share, rate=order.rate and order.rate * share / total
        )
        for share in shares(total, parts)
    ]


def merge_held(parts: list[Held]) -> Held:
    """What became of all."""
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
    return Held(
        counts=added([part.counts for part in parts]),
        errors=dict(errors),
        details=[detail for part in parts for detail in part.details][:3],
        connect=encode(merge([part.connect for part in parts])),
        first_reply=encode(merge([part.first_reply for part in parts])),
        late=sum(part.late for part in parts),
        took_ns=max(part.took_ns for part in parts),
        stopped=next((part.stopped for part in parts if part.stopped), None),
    )
