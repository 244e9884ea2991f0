"""What docs/blocking.md says is so: its commands run."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compare.check.bench import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "blocking.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
WAIT_S = 30


def words(command: str, port: int) -> list[str]:
    first, *rest = shlex.split(re.sub(r"\b700\d\b", str(port), command))
    assert first in ("python", "compare")
    return [sys.executable, *(["-m", "compare"] if first == "compare" else []), *rest]


@pytest.mark.parametrize("command", [each for each in COMMANDS if " serve " in each])
def test_server_says_ready_and_ends_well(command: str) -> None:
    with subprocess.Popen(
        words(command, 0), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"READY ")
        server.send_signal(signal.SIGTERM)
        assert server.wait(WAIT_S) == 0


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if re.search("blocking (chat|send .*127.0.0.1)", each)]
)
def test_client_is_served(command: str) -> None:
    service = "chat" if " chat " in command else "udp-echo" if "udp:" in command else "echo"
    serve = [sys.executable, "-m", "blocking", "serve", service, "--model", "threaded"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rsplit(b":", 1)[1])
        done = subprocess.run(
            words(command, port), input=b"", capture_output=True, timeout=WAIT_S, cwd=ROOT
        )
        server.terminate()
    assert (done.returncode, done.stderr) == (0, b"")


def test_receiver_and_broadcaster_of_the_page_find_each_other() -> None:
    (receive,) = [each for each in COMMANDS if " receive " in each]
    (send,) = [each for each in COMMANDS if "--broadcast" in each]
    port = free_port("udp")
    listen = [*words(receive, port), "--count", "1"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, cwd=ROOT) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline().startswith(b"READY udp://224.0.0.251:")
        to_group = send.replace("127.255.255.255", "224.0.0.251").replace(" --broadcast", "")
        done = subprocess.run(
            [*words(to_group, port), "--timeout", "0.1"], input=b"hello\n", capture_output=True
        )
        assert b"hello" in receiver.stdout.read()
    assert (done.returncode, done.stderr) == (0, b"")  # nobody need answer
    done = subprocess.run(
        [*words(send, port), "--timeout", "0.1"], input=b"hello\n", capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("compare ")])
def test_checks_of_the_page_run(command: str) -> None:
    command = command.replace("-- python ", f"-- {shlex.quote(sys.executable)} ")
    done = subprocess.run(
        words(command, 0), capture_output=True, text=True, timeout=100, cwd=ROOT, check=False
    )
    assert "failed: " not in done.stderr
    assert re.search(r"\d+ passed, \d+ failed", done.stdout)
