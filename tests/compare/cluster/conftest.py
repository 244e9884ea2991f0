"""A cluster on this machine whose processes a test may kill, and what they have left running."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

UP_S = 30.0
MARK = "AIONET_CLUSTER_UNDER_TEST"


class Dask:
    """A scheduler and its workers, each by its resource; `address` is the scheduler's.

    inside: the command that goes before each of theirs, such as `ip netns exec NAME`.
    """

    def __init__(self, folder: Path, *, tls: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._tls = tls
        self._mark = str(folder)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def scheduler(self, host: str = "127.0.0.1", inside: tuple[str, ...] = ()) -> None:
        where = self._folder / "scheduler.json"
        words = ("--host", host, "--port", "0", "--no-show", "--scheduler-file", str(where))
        if self._tls:
            words = (*words, "--protocol", "tls")
        self._start("scheduler", inside, "scheduler", *words)
        self._until(lambda: where.exists() and where.read_bytes().strip() != b"")
        self.address = json.loads(where.read_bytes())["address"]

    def worker(
        self, name: str, resources: str, host: str = "127.0.0.1", inside: tuple[str, ...] = ()
    ) -> None:
        self._start(
            *(name, inside, "worker", self.address, "--resources", resources, "--host", host),
            *("--name", name, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"),
            *("--local-directory", str(self._folder / name)),
        )

    def _start(self, name: str, inside: tuple[str, ...], kind: str, *words: str) -> None:
        with (self._folder / f"{name}.stderr").open("wb") as said:
            self.processes[name] = subprocess.Popen(
                [
                    *inside,
                    *(sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard"),
                    *(*self._tls, *words),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, MARK: self._mark},
                start_new_session=True,
            )

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + UP_S
        while not condition():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    pytest.fail(f"{name}: {(self._folder / f'{name}.stderr').read_text()}")
            assert time.monotonic() < deadline, "the cluster did not come up"
            time.sleep(0.02)

    python = (sys.executable,)

    def await_workers(self, many: int) -> None:
        def there() -> bool:
            said = (self._folder / "scheduler.stderr").read_text()
            return said.count("Register worker") >= many

        self._until(there)

    def left_running(self) -> list[str]:
        """Command lines of all that its workers have started and that is not one of them."""
        own = {each.pid for each in self.processes.values()}
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if each.pid not in own and each.environ().get(MARK) == self._mark:
                    found.append(" ".join(each.cmdline()))
        return found

    def close(self) -> None:
        for each in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, 9)
            each.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Callable[..., Dask]]:
    """Makes a cluster; without arguments one with two drivers and a server, on loopback."""
    pytest.importorskip("distributed")
    with contextlib.ExitStack() as stack:

        def make(*, bare: bool = False, **more: Any) -> Dask:
            folder = tmp_path / f"dask{len(list(tmp_path.glob('dask*')))}"
            folder.mkdir()
            cluster = Dask(folder, **more)
            stack.callback(cluster.close)
            if not bare:
                cluster.scheduler()
                cluster.worker("driver1", "driver=1")
                cluster.worker("driver2", "driver=1")
                cluster.worker("server", "server=1")
                cluster.await_workers(3)
            return cluster

        yield make


Compare = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def compare() -> Iterator[Compare]:
    """Starts `compare ...` with pipes for stdout and stderr, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def start(*words: str, inside: tuple[str, ...] = ()) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", "compare", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start
