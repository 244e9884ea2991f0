"""What docs/checking.md and docs/protocols.md say is so.

Their commands run, the table names what is measured, and the example of a frame is one.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from measure import SERVERS as MEASURED

from compare.check import framing
from compare.check.catalogue import CHECKS
from compare.check.catalogue import SERVERS as SERVED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
PROTOCOLS = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
CHECK = ROOT / "tests" / "compare" / "check"
SERVERS, CLIENTS = CHECK / "servers", CHECK / "clients"
SCRIPTS = {
    "tcp-echo": "tcp.py",
    "udp-echo": "udp.py",
    "chat": "chat.py",
    "frames": "frames.py",
    "later": "later.py",
    "client": "tcp.py",
    "udp-client": "udp.py",
}
QUICK = {"client": "cl/1", "udp-client": "uc/4"}  # of the others, life/1


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


COMMANDS = [
    line
    for page in (PAGE, PROTOCOLS)
    for block in blocks("sh", page)
    for line in block.splitlines()
]
(TOML,) = blocks("toml")


OURS = "-m blocking serve echo --model epoll --listen tcp://{host}:{port}"
OF_FEW = ("--style", "asked-address")  # what our own have, and not each one that is right


def with_server(text: str, script: str = "tcp.py") -> str:
    """With one that is right in place of `my_server.py` or `my_client.py`."""
    if any(word in text for word in OF_FEW):
        udp = OURS.replace("serve echo", "serve udp-echo").replace("tcp:", "udp:")
        ours = udp if script == "udp.py" else OURS
        return re.sub("python my_server.py.*", f"{sys.executable} {ours}", text)
    server, client = (
        shlex.join([sys.executable, str(folder / script), "none"]) for folder in (SERVERS, CLIENTS)
    )
    return text.replace("python my_server.py", server).replace("python my_client.py", client)


def with_quick_server(text: str) -> str:
    return text.replace("python my_server.py {port}", f"{sys.executable} {OURS}")


def run(command: str, folder: Path) -> str:
    words = shlex.split(command)
    assert words[0] == "compare"
    done = subprocess.run(
        [sys.executable, "-m", "compare", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("compare")])
def test_command_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(with_quick_server(TOML))
    if "--connect" in command:
        server = [sys.executable, "-m", "aionet", "serve", "echo"]
        with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            place = process.stdout.readline().strip().rpartition("/")[2]
            said = run(command.replace("127.0.0.1:7007", f"{place} --only tcp/1"), tmp_path)
            process.terminate()
        assert "1 passed, 0 failed" in said
    elif " -- " in command:
        profile = (re.findall("--profile (\\S+)", command) or ["tcp-echo"])[0]
        if "--only" not in command:
            command = command.replace("check ", f"check --only {QUICK.get(profile, 'life/1')} ", 1)
        assert "1 passed, 0 failed" in run(with_server(command, SCRIPTS[profile]), tmp_path)
    elif command.startswith("compare run"):
        unchecked = " --unchecked" * ("--config" in command)  # once is enough
        short = f" --models epoll --duration 0.1{unchecked}"
        said = run(with_quick_server(command) + short, tmp_path)
        assert "mine " in said
    else:
        wanted = command.split()[-1] if "explain" in command else "tcp/3"
        assert wanted in run(command, tmp_path)


def test_example_of_a_frame_is_one_and_so_is_its_answer() -> None:
    example = blocks("text", PROTOCOLS)[0]
    question, answer = (bytes.fromhex(line.split(None, 1)[1]) for line in example.splitlines())
    assert question == framing.frame([1, 2, -4])
    assert answer == framing.answer([1, 2, -4])


def test_every_check_of_the_new_protocols_has_its_place_in_the_order() -> None:
    for group in ("fr", "later"):
        named = re.findall(rf"`({group}/\d+)` \(", PROTOCOLS)
        assert sorted(named) == sorted(each for each in CHECKS if each.startswith(f"{group}/"))


def test_every_profile_has_its_protocol_written_down() -> None:
    assert sorted(re.findall(r"^## (\S+)$", PROTOCOLS, re.MULTILINE)) == sorted(SERVED)


def test_every_declared_limit_is_named() -> None:
    for limit in {each.limit for each in CHECKS.values() if each.limit}:
        assert f"`{limit}" in PAGE or f"={limit}" in PAGE or f"--limit {limit}=" in PAGE, limit


@pytest.mark.timeout(120)
def test_others_are_measured_by_the_command_of_the_page() -> None:
    (command,) = [each for each in COMMANDS if "measure.py" in each]
    words = [sys.executable, *shlex.split(command)[1:], "--rounds", "1", "--only", "tcp/4,life/6"]
    words += ["--servers", "epoll-tcp-echo,selectors"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    ours, selectors = done.stdout.splitlines()[2:4]
    assert "| 2 of 2 MUST | none |" in ours
    assert "| 1 of 2 MUST | life/6 |" in selectors


def test_every_measured_server_is_in_the_tables() -> None:
    measured, _, _ = PAGE.partition("\n## In other languages\n")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]* of ", measured, re.MULTILINE)
    assert sorted(rows) == sorted(server.title for server in MEASURED.values())


def test_paths_of_the_page_exist() -> None:
    for path in re.findall(r"`((?:docs|blocking|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path
