"""What docs/measuring.md says runs, shortened; its verdicts are the code's."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from compare.results.records import Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
QUICKEST = "--duration 0.1 --rounds 1"
# What would take long, and what takes its place.
INSTEAD = {
    "compare run --quick --json run.json": f"--workloads tcp-long --models epoll {QUICKEST}",
    "compare run --models asyncio,epoll-et,threaded --workloads tcp-long "
    "--profile asyncio,epoll-et,threaded": f"--models epoll --profile epoll {QUICKEST}",
    "compare run --tls": f"--models epoll {QUICKEST}",
    "compare run --workloads udp-echo --rate 5k,10k,20k,40k,80k "
    "--models blocking,threaded,epoll,asyncio,uvloop": f"--rate 2k,20k --models epoll {QUICKEST}",
    "compare scale": "--models epoll --idle 10,50 --duration 0.1",
    "compare scale --models epoll,uvloop --idle most --ramp 2000": "--idle 200 --duration 0.1",
    "compare scale --models uvloop-workers --hold 1000000": "--hold 2000 --duration 0.1",
    "compare scale --cores 1,2": "--models epoll --duration 0.1 --rounds 1",
    "compare scale --cores 1,2,4,8 --set cores --drivers 4": (
        "--cores 1,2 --drivers 2 --duration 0.1 --rounds 1"
    ),
    "compare run --server-cores 0-3 --workloads tcp-long --models uvloop-workers": (
        f"--server-cores 0 {QUICKEST}"
    ),
    "compare selftest": "--help",
    "compare doctor": "",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if command.split()[1] != "export"]
)
def test_command_runs(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "compare"
    models = [] if "--models" in words else ["--models", "epoll"]
    instead = INSTEAD.get(command)
    words += [*QUICKEST.split(), *models] if instead is None else shlex.split(instead)
    done = run(words[1:], tmp_path)
    assert done.returncode == 0 or (words[1] == "doctor" and done.returncode == 1), done.stderr
    assert "Traceback" not in done.stderr
    if "export" in (others := " ".join(COMMANDS)) and "run.json" in command:
        (export,) = re.findall(r"compare (export run\.json --hlog \w+)", others)
        exported = run(export.split(), tmp_path)
        assert exported.returncode == 0, exported.stderr
        assert sorted(Path(line).suffix for line in exported.stdout.split()) == [".hgrm", ".hlog"]


def test_receive_buffer_holds_fewer_datagrams_than_its_bytes_would() -> None:
    """Truesize: how many fewer is the kernel's business."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        buffer = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert buffer == 100_000
        for _ in range(200):
            client.sendto(bytes(1000), server.getsockname())
        held = 0
        with contextlib.suppress(BlockingIOError):
            while server.recv(1000):
                held += 1
        assert 20 <= held < 60


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compare", *words],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=folder,
    )


def test_table_has_every_verdict() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == set(get_args(Verdict))
