"""What a model and a workload are."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from compare.models.handler import PLAIN, Handler
from compare.models.interpreter import Interpreter
from compare.models.source import OURS, Source, first_on_path, folder_of

Group = Literal[
    "one at a time",
    "threads and processes",
    "readiness",
    "asyncio",
    "loops",
    "frameworks",
    "references",
    "your own",
]
WORKERS = 2  # of a model with several


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


@dataclass(frozen=True)
class Model:
    """A way of doing I/O.

    command: what starts it; `{service}` and `{workers}` are replaced.
    group: with what it belongs together. module: what it needs beyond the standard library.
    since: the oldest Python that can run it, where that is not any that runs the others.
    needs: what that needs in turn, for who installs it.
    meaning: for a workload, what the model means there where that is not plain.
    cannot: for a workload, why there is nothing to measure.
    exceptions: checks that it cannot pass by nature, by their IDs, and why.
    few: what it means that some of its connections are never served.
    alone: it serves one connection at a time. threads: it needs for a connection.
    descriptors: the most that it can use, whatever the system allows.
    no_tls: why it cannot be told to speak TLS.
    closes: it can be told to close connections before the client does.
    own: a server of the user's: `{host}`, `{port}` and `{workers}` are replaced, and it need not
        say READY.
    cwd, environment, cores: where it runs. unchecked: it is measured whatever it does wrong.
    ready_timeout_s: how long it may take to start, if that is more than usual.
    interpreter: the Python that runs it, where that is another one than ours.
    """

    name: str
    summary: str
    command: tuple[str, ...]
    group: Group = "your own"
    module: str | None = None
    since: tuple[int, int] | None = None
    needs: str = ""
    meaning: Mapping[str, str] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)
    exceptions: Mapping[str, str] = field(default_factory=dict)
    few: str = ""
    alone: bool = False
    threads: int = 0
    descriptors: int | None = None
    no_tls: str = ""
    closes: bool = True
    own: bool = False
    cwd: str | None = None
    environment: Mapping[str, str] | None = None
    cores: tuple[int, ...] = ()
    unchecked: bool = False
    ready_timeout_s: float | None = None
    interpreter: Interpreter | None = None

    @property
    def reference(self) -> bool:
        """It is a yardstick, without protection."""
        return self.group == "references"

    def argv(
        self,
        workload: Workload,
        *,
        close_after: int | None = None,
        workers: int = WORKERS,
        host: str | None = None,
        handler: Handler = PLAIN,
    ) -> list[str]:
        """The command that starts it; told to close each connection after so many bytes.

        handler: what each message is to cost it. host: the address where it listens, where that is
        not loopback.
        """
        if self.own:
            return self.typed(workers)
        around = handler.around(self.command)
        command = [word.format(service=workload.service, workers=workers) for word in around]
        closing = [] if close_after is None else ["--close-after", str(close_after)]
        python = self.interpreter.path if self.interpreter else sys.executable
        scheme = "udp" if workload.service == "udp-echo" else "tcp"
        where: list[str] = []
        if host and self.reference:
            where = [host]
        elif host:
            where = ["--listen", f"{scheme}://{f'[{host}]' if ':' in host else host}:0"]
        # -P: nothing is imported from the folder that we happen to be in.
        return [python, "-P", *command, *closing, *where]

    def typed(self, workers: int = WORKERS) -> list[str]:
        """The command of the user's, with `{host}` and `{port}` still in it."""
        return [word.replace("{workers}", str(workers)) for word in self.command]

    @property
    def surroundings(self) -> Mapping[str, str] | None:
        """What is added to its environment; ours come from where we do, installed or not."""
        if self.own or self.environment:
            return self.environment
        return first_on_path(str(OURS))

    @property
    def without_tls(self) -> str | None:
        """Why it is not measured over TLS; None if it can be."""
        return "a server of your own is asked over TCP only" if self.own else self.no_tls or None

    def unsupported(self, workload: Workload) -> str | None:
        """Why this cell cannot run here; None if it can."""
        if workload.name in self.cannot:
            return self.cannot[workload.name]
        version = self.interpreter.version if self.interpreter else platform.python_version()
        if self.since and tuple(map(int, version.split(".")[:2])) < self.since:
            oldest = ".".join(map(str, self.since))
            return f"it needs Python {oldest} or newer, and this is {version}: --python COMMAND"
        if self.module is None:
            return None
        if self.interpreter is not None:
            missing = self.interpreter.why_without(self.module)
        elif importlib.util.find_spec(self.module) is None:
            missing = f"{self.module} is not installed: pip install {self.module}"
        else:
            missing = None
        return f"{missing} ({self.needs})" if missing and self.needs else missing

    @property
    def unhandled(self) -> str | None:
        """Why its messages cannot be made to cost more; None if they can."""
        if self.own:
            return "a server of your own does for a message what it does: nobody can tell it more"
        return "the shortest echo has no handler that could do more" if self.reference else None

    def at(self, source: Source) -> Model:
        """The same model, as it is in another checkout."""
        return replace(
            self,
            name=f"{self.name}@{source.label}",
            environment=first_on_path(folder_of(source.path)),
        )

    def under(self, interpreter: Interpreter) -> Model:
        """The same model, run by another Python."""
        return replace(
            self,
            name=f"{self.name}@{interpreter.label}",
            interpreter=interpreter,
            environment={"PYTHONPATH": interpreter.sources()},
        )
