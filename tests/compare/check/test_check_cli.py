"""`compare check` as it is called: what it says, its files, its exit status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from machine import needs_ipv6

from compare.__main__ import main
from compare.check.catalogue import CHECKS, PROFILES, of_profile

SERVERS = Path(__file__).parent / "servers"
ECHO = str(SERVERS / "tcp.py")


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give either a command after --"),
        (("--connect", "127.0.0.1:7", "--", "true"), "give either a command after --"),
        (("--connect", "10.0.0.1:7"), "10.0.0.1 is not this machine"),
        (("--connect", "127.0.0.1"), "'127.0.0.1' is not HOST:PORT"),
        (("--style", "two-threads", "--", "true"), "'two-threads' is not 'one-thread'"),
        (("--style", "one-thread", "--only", "tcp/1", "--", "true"), "asks for it"),
        (("--only", "tcp/99", "--", "true"), "no check 'tcp/99'; choose from life/0, "),
        (("--only", "chat/9", "--", "true"), "tcp-echo has no check 'chat/9'"),
        (("--limit", "idle", "--", "true"), "'idle' is not one of "),
        (("--limit", "speed=2", "--", "true"), "'speed=2' is not one of "),
        (("--limit", "idle=0s", "--", "true"), "'idle=0s' is not one of "),
        (("--limit", "rate=nan", "--", "true"), "'rate=nan' is not one of "),
        (("--limit", "idle=inf", "--", "true"), "'idle=inf' is not one of "),
        (("--limit", "connections=1e400", "--", "true"), "'connections=1e400' is not one of "),
        (("--", "python 'my.py {port}"), "is no command: No closing quotation"),
        (("--", ""), "the command is empty"),
        (("--json", "", "--", "true"), "'--json': a name is missing"),
        (("--junit", "/nowhere/j.xml", "--", "true"), "'--junit': cannot write '/nowhere/j.xml'"),
        (("--gradescope", "/proc/g", "--", "true"), "'--gradescope': cannot write '/proc/g'"),
        (("--ready-timeout", "never", "--", "true"), "'never' is not a time"),
        (("--ready-timeout", "2s", "--connect", "127.0.0.1:7"), "goes with a command"),
        (("--connect", "nobody.invalid:7"), "nobody knows nobody.invalid"),
        (("--profile", "client", "--connect", "127.0.0.1:7"), "--connect names a server, and"),
        (("--profile", "client", "--", "nc", "{host}"), "put {port} into the command"),
        (("--profile", "udp-client", "--", "nc"), "--profile udp-client -- python my_client.py"),
        (("--profile", "client", "--limit", "connect=0s", "--", "nc {port}"), "'connect=0s'"),
        (("--profile", "telnet", "--", "true"), "'telnet' is not one of 'tcp-echo'"),
    ],
)
def test_mistake_in_the_options_is_told_in_a_line(words: tuple[str, ...], told: str) -> None:
    result = check(*words)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_command_that_does_not_exist_is_told_in_a_line() -> None:
    result = check("--", "no-such-server", "{port}")
    assert result.exit_code == 1
    assert "cannot start no-such-server: No such file or directory" in result.output


def test_failure_is_a_lesson_and_goes_into_all_files(tmp_path: Path) -> None:
    files = {kind: str(tmp_path / kind) for kind in ("json", "junit", "gradescope")}
    outputs = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    command = ["--", sys.executable, ECHO, "urgent-inline", "{port}"]
    result = check("--only", "tcp/4,tcp/18,tcp/5-idle", *outputs, *command)
    assert result.exit_code == 1
    for words in (
        "passed  tcp/4",
        "failed  tcp/18",
        "skipped tcp/5-idle",
        "expected the answer to what was sent",
    ):
        assert words in result.output
    for words in ("MSG_OOB", "likely", "again:", "1 passed, 1 failed, 1 skipped: tcp/18"):
        assert words in result.output
    assert CHECKS["tcp/18"].mistake in result.output
    found = json.loads(Path(files["json"]).read_text(encoding="utf-8"))["findings"]
    assert {each["id"]: each["state"] for each in found} == {
        "tcp/4": "passed",
        "tcp/18": "failed",
        "tcp/5-idle": "skipped",
    }
    assert next(each for each in found if each["id"] == "tcp/18")["timeline"]
    suite = ElementTree.parse(files["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    tests = json.loads(Path(files["gradescope"]).read_text(encoding="utf-8"))["tests"]
    assert {each["name"]: (each["score"], each["max_score"]) for each in tests} == {
        "tcp/4": (1, 1),
        "tcp/18": (0, 1),
        "tcp/5-idle": (0, 0),
    }


def test_what_was_not_checked_fails_only_if_that_is_asked_for() -> None:
    command = ["--only", "tcp/5-idle", "--", sys.executable, ECHO, "none", "{port}"]
    assert check(*command).exit_code == 0
    assert check("--strict", *command).exit_code == 1


def test_server_that_runs_already_is_checked_from_outside() -> None:
    server = [sys.executable, "-m", "blocking", "serve", "echo", "--model", "epoll"]
    with subprocess.Popen(server, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = process.stdout.readline().decode().strip().rpartition("/")[2]
        result = check("--only", "tcp/1,tcp/13", "--connect", place)
        process.terminate()
    assert result.exit_code == 0
    assert "passed  tcp/1" in result.output
    assert "only for a server that is started here" in result.output


@needs_ipv6
@pytest.mark.parametrize(("profile", "only"), [("tcp-echo", "tcp/4,tcp/18"), ("udp-echo", "udp/6")])
def test_localhost_is_the_address_of_it_that_is_served(profile: str, only: str) -> None:
    service, scheme = {"tcp-echo": ("echo", "tcp"), "udp-echo": ("udp-echo", "udp")}[profile]
    where = ("--listen", f"{scheme}://[::1]:0")
    server = [sys.executable, "-m", "blocking", "serve", service, "--model", "epoll", *where]
    with subprocess.Popen(server, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip().rpartition(":")[2]
        result = check("--profile", profile, "--only", only, "--connect", f"localhost:{port}")
        process.terminate()
    assert result.exit_code == 0, result.output
    assert f"{only.count(',') + 1} passed" in result.output


def test_nobody_at_a_place_of_datagrams_is_said_before_anything_is_asked() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        place = "{}:{}".format(*free.getsockname())
    result = check("--profile", "udp-echo", "--only", "udp/1,udp/6", "--connect", place)
    assert result.exit_code == 1
    assert result.stdout.count(f"nobody listens at udp://{place}") == 1
    assert "2 since the server did not start" in result.stdout


def test_server_is_killed_with_its_children_also_by_ctrl_c(tmp_path: Path) -> None:
    marker = f"{tmp_path.name}-marker"
    script = f"trap '' TERM INT; sh -c 'trap \"\" TERM INT; sleep 60 # {marker}' & sleep 60; true"
    words = [sys.executable, "-m", "compare", "check", "--", "sh", "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while not running(marker):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert not running(marker)


def running(marker: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in (line := path.read_bytes()) and line.startswith(b"sh\0"):
                return True
        except OSError:
            continue
    return False


def test_every_check_is_listed_and_explained() -> None:
    listed = check("--list").output
    for name in CHECKS:
        assert name in listed
        told = CliRunner().invoke(main, ["explain", name])
        assert told.exit_code == 0
        assert CHECKS[name].why in told.output
    unknown = CliRunner().invoke(main, ["explain", "tcp/0"])
    assert unknown.exit_code == 2
    assert "there is no check 'tcp/0'" in unknown.output


def test_what_is_a_must_comes_first_in_every_profile_and_limits_last() -> None:
    for profile in PROFILES:
        kinds = [each.kind for each in of_profile(profile)]
        assert kinds == sorted(kinds, key=["MUST", "STYLE", "STRICT", "LIMIT"].index)


def test_rule_of_ours_is_asked_of_others_only_if_that_is_wanted() -> None:
    command = [sys.executable, str(SERVERS / "budget.py"), "terse", "{port}"]
    words = ["--profile", "chat", "--only", "chat/6-words"]
    asked_not = check(*words, "--", *command)
    assert asked_not.exit_code == 0
    assert "skipped chat/6-words STRICT a rule of ours" in asked_not.output
    asked = check(*words, "--strict", "--", *command)
    assert asked.exit_code == 1
    assert "failed  chat/6-words STRICT" in asked.output
    assert "--only chat/6-words --seed 7 --strict -- " in asked.output


@pytest.mark.timeout(60)
def test_style_counts_where_it_was_asked_for_and_else_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = ["--gradescope", str(file), "--", sys.executable, ECHO, "none", "{port}"]
    result = check("--style", "one-thread", "--only", "nb/1", *command)
    assert result.exit_code == 1
    assert "--only nb/1 --seed 7 --style one-thread" in result.output
    (test,) = json.loads(file.read_text())["tests"]
    assert (test["score"], test["max_score"]) == (0, 1)
    listed = check("--list").output
    assert "nb/1         STYLE one-thread" in listed


def test_client_is_a_lesson_too_and_says_how_to_ask_again(tmp_path: Path) -> None:
    client = str(Path(__file__).parent / "clients" / "tcp.py")
    graded = tmp_path / "results.json"
    words = ["--profile", "client", "--only", "cl/8,cl/11", "--seed", "3"]
    command = [sys.executable, client, "status-0", "{host}", "{port}"]
    result = check(*words, "--gradescope", str(graded), "--", *command)
    assert result.exit_code == 1
    for told in (
        "failed  cl/8",
        "an exit status that is not 0",
        "skipped cl/11",
        "server     bind",
    ):
        assert told in result.output
    assert "again:   compare check --profile client --only cl/8 --seed 3 -- " in result.output
    tests = json.loads(graded.read_text(encoding="utf-8"))["tests"]
    assert [(each["name"], each["max_score"]) for each in tests] == [("cl/8", 1), ("cl/11", 0)]


def test_client_that_cannot_be_started_is_told_in_a_line() -> None:
    result = check("--profile", "udp-client", "--only", "uc/4", "--", "no-such-client", "{port}")
    assert result.exit_code == 1
    assert "the client did not start: cannot start no-such-client: No such file" in result.output
    assert "the client cannot be checked: " in result.output
