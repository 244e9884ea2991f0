"""A cluster on this machine: a scheduler and workers as processes, gone when it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from compare.cluster.hosts import ClusterError, Hosts
from compare.cluster.tasks import CORES
from compare.host.launch import kill, start

READY_S = 30.0
# They share the drivers' cores, and what they do beside the work would be measured.
_QUIET = {
    f"DASK_DISTRIBUTED__{name}": value
    for name, value in {
        "ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
        "ADMIN__SYSTEM_MONITOR__INTERVAL": "60s",
        "ADMIN__TICK__INTERVAL": "2s",
        "ADMIN__TICK__LIMIT": "60s",
        "SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
        "SCHEDULER__WORK_STEALING": "False",
        "WORKER__MEMORY__MONITOR_INTERVAL": "10s",
        "WORKER__PROFILE__ENABLED": "False",
    }.items()
}


class LocalCluster:
    """`drivers` workers that drive and one that serves, as a context manager: the address.

    Raises ClusterError.
    """

    def __init__(self, drivers: int, *, server: bool = True) -> None:
        cores = sorted(os.sched_getaffinity(0))
        first, *others = cores
        # Their own work is done where the load comes from, and not on the server's core.
        self._core = others[-1] if others else None
        self._workers = [
            ("driver=1", (others or cores)[-1 - n % len(others or cores)]) for n in range(drivers)
        ]
        if server:
            self._workers.insert(0, ("server=1", first))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> str:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="aionet-compare-")
        except OSError as error:
            why = f"no folder for temporary files (TMPDIR): {error.strerror}"
            raise ClusterError(why) from None
        try:
            return self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _start(self) -> str:
        where = Path(self._folder.name, "scheduler.json")
        self._spawn(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--no-show", "--scheduler-file", str(where),
        )  # fmt: skip
        for resource, core in self._workers:
            self._spawn(
                "worker", "--scheduler-file", str(where), "--resources", resource,
                "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0",
                "--host", "127.0.0.1", "--local-directory", self._folder.name, core=core,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while not where.exists() or not where.read_bytes().strip():
            self._look(deadline)
        address: str = json.loads(where.read_bytes())["address"]
        with Hosts(address) as hosts:
            while len(hosts.addresses()) < len(self._workers):
                self._look(deadline)
        return address

    def _spawn(self, *words: str, core: int | None = None) -> None:
        with Path(self._folder.name, f"{len(self._processes)}.stderr").open("wb") as said:
            self._processes.append(
                start(
                    [sys.executable, "-P", "-m", f"distributed.cli.dask_{words[0]}", *words[1:]],
                    () if self._core is None else (self._core,),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said.fileno(),
                    env={**_QUIET, **({} if core is None else {CORES: str(core)})},
                )
            )

    def _look(self, deadline: float) -> None:
        """Raise ClusterError if they do not come up."""
        for number, process in enumerate(self._processes):
            if process.poll() is not None:
                said = Path(self._folder.name, f"{number}.stderr").read_text(errors="replace")
                last = said.strip().splitlines()[-1:] or [f"status {process.returncode}"]
                raise ClusterError(f"a process of the local cluster ended: {last[0]}")
        if time.monotonic() > deadline:
            raise ClusterError(f"the local cluster did not come up within {READY_S:g} s")
        time.sleep(0.05)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes[::-1]:
            kill(process)
        self._folder.cleanup()
