"""What is compared: models, workloads, and how each cell is started, or why it is not.

A model is a row in MODELS, a workload a row in WORKLOADS and a file in `compare/driver/`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A kind of load. `size` is the usual message in bytes, `smallest` the least that works."""

    name: str
    service: str
    operation: str
    connections: str
    size: int
    smallest: int
    largest: int


WORKERS = 2  # of a model with several


@dataclass(frozen=True)
class Model:
    """A way of doing I/O.

    command: what starts it; `{service}` and `{workers}` are replaced.
    meaning: for a workload, what the model means there where that is not plain.
    cannot: for a workload, why there is nothing to measure.
    few: what it means that some of its connections are never served.
    threads: threads it needs for a connection.
    reference: it is a yardstick, without protection. extra: not among the default ones.
    own: a server of the user's: `{host}` and `{port}` are replaced, and it need not say READY.
    cwd, environment, cores: where it runs. unchecked: it is measured whatever it does wrong.
    """

    name: str
    summary: str
    command: tuple[str, ...]
    module: str | None = None
    meaning: Mapping[str, str] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)
    few: str = ""
    threads: int = 0
    reference: bool = False
    extra: bool = False
    own: bool = False
    cwd: str | None = None
    environment: Mapping[str, str] | None = None
    cores: tuple[int, ...] = ()
    unchecked: bool = False

    def argv(
        self, workload: Workload, *, close_after: int | None = None, workers: int = WORKERS
    ) -> list[str]:
        """The command that starts it; told to close each connection after so many bytes."""
        if self.own:
            return list(self.command)
        command = [word.format(service=workload.service, workers=workers) for word in self.command]
        closing = [] if close_after is None else ["--close-after", str(close_after)]
        return [sys.executable, *command, *closing]

    def unsupported(self, workload: Workload) -> str | None:
        """Why this cell cannot run here; None if it can."""
        if workload.name in self.cannot:
            return self.cannot[workload.name]
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed: pip install {self.module}"
        return None


WORKLOADS: dict[str, Workload] = {
    row.name: row
    for row in (
        Workload(
            "udp-echo",
            service="udp-echo",
            operation="one datagram there and back",
            connections="client sockets, one datagram under way on each",
            size=1000,
            smallest=16,
            largest=65507,
        ),
        Workload(
            "tcp-short",
            service="echo",
            operation="connect, send, receive the echo, close",
            connections="connections at a time, each replaced when it is done",
            size=1000,
            smallest=1,
            largest=16 * 2**20,
        ),
        Workload(
            "tcp-long",
            service="echo",
            operation="one message there and back on an open connection",
            connections="open connections, one message under way on each",
            size=1000,
            smallest=1,
            largest=16 * 2**20,
        ),
        Workload(
            "chat",
            service="chat",
            operation="one message delivered to one other member",
            connections="members, each speaking when all have heard its last line",
            size=100,
            smallest=24,
            largest=4000,
        ),
    )
}

_ONE_AT_A_TIME = "serves one connection at a time: the others are connected and wait"
_ONE_CALL = "what is said to a member within one turn of the loop goes out in one call"
_YARDSTICK = "a yardstick for TCP echo only"

MODELS: dict[str, Model] = {
    row.name: row
    for row in (
        Model(
            "blocking",
            "one client at a time, from accept to its end",
            ("-m", "blocking", "serve", "{service}", "--model", "blocking"),
            meaning={
                "udp-echo": "one thread in recvfrom(): without connections nobody waits",
                "tcp-short": "one short connection after the other; the rest queue",
                "tcp-long": _ONE_AT_A_TIME,
                "chat": f"the negative control: it {_ONE_AT_A_TIME}, so nobody is heard",
            },
            few="it serves one client at a time",
        ),
        Model(
            "threaded",
            "a thread for each connection",
            ("-m", "blocking", "serve", "{service}", "--model", "threaded"),
            meaning={
                "udp-echo": "four threads in recvfrom() on one socket",
                "chat": "outboxes filled under the room's lock, sent outside it",
            },
            threads=1,
        ),
        Model(
            "epoll",
            "one thread, level-triggered epoll, non-blocking sockets",
            ("-m", "blocking", "serve", "{service}", "--model", "epoll"),
            meaning={
                "udp-echo": "after each wait, all datagrams that have arrived",
                "chat": _ONE_CALL,
            },
        ),
        Model(
            "asyncio",
            "asyncio.Protocol on asyncio's own loop",
            ("-m", "aionet", "serve", "{service}", "--loop", "asyncio"),
            meaning={
                "udp-echo": "a DatagramProtocol: one datagram a turn of the loop",
                "chat": _ONE_CALL,
            },
        ),
        Model(
            "uvloop",
            "the same code on uvloop (libuv)",
            ("-m", "aionet", "serve", "{service}", "--loop", "uvloop"),
            module="uvloop",
            meaning={"udp-echo": "a DatagramProtocol on libuv", "chat": _ONE_CALL},
        ),
        Model(
            "uvloop-workers",
            "several processes of uvloop on one port (SO_REUSEPORT)",
            (*("-m", "aionet", "serve", "{service}", "--loop", "uvloop"), "--workers", "{workers}"),
            module="uvloop",
            meaning=dict.fromkeys(
                ("udp-echo", "tcp-short", "tcp-long"),
                "two processes as a rule, as many as it takes in `compare scale`; pinned to the "
                "server's core like all, they show what dividing costs, not what it gains",
            ),
            cannot={"chat": "members of different processes would never meet"},
            extra=True,
        ),
        Model(
            "bare-epoll",
            "reference: the shortest epoll echo loop, without any protection",
            ("-m", "compare.contenders.bare_epoll"),
            cannot={"udp-echo": _YARDSTICK, "chat": _YARDSTICK},
            reference=True,
        ),
        Model(
            "bare-asyncio",
            "reference: the shortest asyncio.Protocol echo",
            ("-m", "compare.contenders.bare_protocol", "asyncio"),
            cannot={"udp-echo": _YARDSTICK, "chat": _YARDSTICK},
            reference=True,
        ),
        Model(
            "bare-uvloop",
            "reference: the same protocol on uvloop",
            ("-m", "compare.contenders.bare_protocol", "uvloop"),
            module="uvloop",
            cannot={"udp-echo": _YARDSTICK, "chat": _YARDSTICK},
            reference=True,
        ),
    )
}

DEFAULT_MODELS = [name for name, model in MODELS.items() if not (model.reference or model.extra)]
