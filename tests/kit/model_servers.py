"""Servers of one model after the other, started with the public command."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

from deadline import DEADLINE_S
from server_process import Server

ROOT = Path(__file__).parents[2]

MODELS = {
    "blocking": ("blocking", "--model"),
    "threaded": ("blocking", "--model"),
    "epoll": ("blocking", "--model"),
    "asyncio": ("aionet", "--loop"),
    "uvloop": ("aionet", "--loop"),
}

# What a service manager does: sockets from descriptor 3 on, and the variables of sd_listen_fds(3).
ACTIVATE = """
import fcntl, os, sys
passed, *command = sys.argv[1:]
for place, fd in enumerate([fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in passed.split()]):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(passed.split()))
os.execvp(command[0], command)
"""


class Serve:
    """Starts servers of one model with the public command."""

    def __init__(self, model: str, directory: Path, interpreter: str) -> None:
        self.model = model
        self._directory = directory
        self._interpreter = interpreter
        self._servers: list[Server] = []

    def _python(self, *arguments: str) -> list[str]:
        return [self._interpreter, "-W", "always", *arguments]

    def _command(
        self, service: str, *options: str, switch_interval: float | None = None
    ) -> list[str]:
        package, option = MODELS.get(self.model, ("blocking", "--model"))  # or one's sibling
        start = ["-m", package]
        if switch_interval is not None:
            start = [
                "-c",
                f"import sys; sys.setswitchinterval({switch_interval});"
                f"from {package}.__main__ import main; main(sys.argv[1:])",
            ]
        return self._python(*start, "serve", service, option, self.model, *options)

    def __call__(self, service: str, *options: str, switch_interval: float | None = None) -> Server:
        command = self._command(service, *options, switch_interval=switch_interval)
        return self._start(command, addresses=max(1, options.count("--listen")))

    def script(self, code: str, *arguments: str, addresses: int = 1) -> Server:
        """A server that is a program of its own; it says READY for each of its addresses."""
        return self._start(self._python("-c", code, self.model, *arguments), addresses)

    def activate(
        self, service: str, *options: str, sockets: list[socket.socket], addresses: int, **env: str
    ) -> Server:
        """A server that is passed `sockets`, as systemd does it."""
        fds = [sock.fileno() for sock in sockets]
        command = self._activation(fds, service, *options)
        return self._start(command, addresses, pass_fds=fds, env=env)

    def _activation(self, fds: list[int], service: str, *options: str) -> list[str]:
        passed = " ".join(map(str, fds))
        return [self._interpreter, "-c", ACTIVATE, passed, *self._command(service, *options)]

    def _start(
        self,
        command: list[str],
        addresses: int,
        *,
        pass_fds: list[int] | None = None,
        env: dict[str, str] | None = None,
    ) -> Server:
        if setpriv := shutil.which("setpriv"):  # it must not outlive a killed test run
            command = [setpriv, "--pdeathsig", "KILL", *command]
        stderr = self._directory / f"stderr-{len(self._servers)}"
        with stderr.open("wb") as file:
            process = subprocess.Popen(
                command,
                bufsize=0,
                cwd=ROOT,
                env=self._environment(**env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                pass_fds=pass_fds or (),
                process_group=0,
            )
        server = Server(process, stderr)
        self._servers.append(server)
        server.wait_until_ready(addresses)
        return server

    def _environment(self, **more: str) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(ROOT)} | more

    def run(
        self,
        service: str,
        *options: str,
        sockets: list[socket.socket] | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Start a server that ends by itself, perhaps passed `sockets`."""
        fds = [sock.fileno() for sock in sockets or []]
        return subprocess.run(
            self._activation(fds, service, *options) if fds else self._command(service, *options),
            cwd=ROOT,
            env=self._environment(**env),
            pass_fds=fds,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def stop(self) -> None:
        with contextlib.ExitStack() as stack:
            for server in self._servers:
                stack.callback(server.stop)
