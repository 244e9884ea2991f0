"""`compare see` as it is called: what it says, its files, its exit status."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from terminal import Start, Terminal

from compare.__main__ import main

ECHO = [
    "python",
    "-m",
    "blocking",
    "serve",
    "echo",
    "--model",
    "threaded",
    "--listen",
    "tcp://127.0.0.1:{port}",
]
WITH_ECHO = ("--", sys.executable, *ECHO[1:])
# Listens, and answers nobody: whoever sees it waits for it.
SILENT = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); input()"
WITH_SILENT = ("--", sys.executable, "-c", SILENT, "{port}")


def see(*words: str) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(main, ["see", *words], catch_exceptions=False)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give a command after --"),
        (("--states", "--", "true"), "takes no command"),
        (("--states", "--scene", "kill"), "takes no command and no --scene"),
        (("--scene", "dance", "--", "true"), "'dance' is not one of 'hello', "),
        (("--json", "/nowhere/j", "--", "true"), "'--json': cannot write '/nowhere/j'"),
        (("-o", "/nowhere/h", "--", "true"), "'-o': cannot write '/nowhere/h'"),
        (("--ready-timeout", "never", "--", "true"), "'never' is not a time"),
        (("--", "python 'my.py {port}"), "is no command: No closing quotation"),
        (("--", ""), "the command is empty"),
    ],
)
def test_mistake_in_the_options_is_told_in_a_line(words: tuple[str, ...], told: str) -> None:
    result = see(*words)
    assert result.exit_code == 2
    assert told in result.stderr.splitlines()[-1]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("no-such-program",), "cannot start no-such-program: No such file or directory"),
        (("false",), "ended before it was ready: exit status 1"),
    ],
)
def test_server_that_does_not_start_is_told_in_a_line(command: tuple[str, ...], told: str) -> None:
    result = see("--", *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"the server cannot be seen: {told}\n"


def test_server_that_is_not_told_where_to_listen_is_told_how_to() -> None:
    result = see("--ready-timeout", "0.2s", "--", "sleep", "100")
    assert result.exit_code == 1
    assert "its command has no {port}" in result.stderr
    assert "--ready-timeout" in result.stderr


def test_server_of_datagrams_is_refused_in_a_line() -> None:
    listen = "udp://127.0.0.1:{port}"
    result = see("--", sys.executable, "-m", "blocking", "serve", "udp-echo", "--listen", listen)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"the server cannot be seen: it serves UDP[^\n]+\n", result.stderr)


def test_lines_fit_eighty_columns_and_are_plain_where_nobody_looks() -> None:
    result = see("--scene", "backlog", *WITH_ECHO)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in result.stdout
    assert lines[0].startswith("backlog: who is connected and not accepted")
    assert any(
        each.split() == ["ms", "call", "client", "server", "queue", "threads"] for each in lines
    )


def test_json_on_stdout_is_alone_there_and_lanes_are_beside_it() -> None:
    result = see("--json", "-", *WITH_ECHO)
    data = json.loads(result.stdout)
    assert data["format"] == "compare-see/1"
    assert data["scene"] == "hello"
    assert [each["call"] for each in data["rows"] if each["call"]][:2] == ["connect()", "send(6)"]
    assert "connect()" in result.stderr


class Page(HTMLParser):
    """What a page would load, and the states that are drawn in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.drawn: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.loaded += [str(values[name]) for name in ("src", "href") if name in values]
        kinds = (values.get("class") or "").split()
        self.drawn |= set(kinds[1:]) if kinds[:1] == ["lane"] else set()


def test_page_needs_nothing_else_and_draws_all_that_was_seen(tmp_path: Path) -> None:
    html, data = tmp_path / "seen.html", tmp_path / "seen.json"
    assert see("--states", "-o", str(html), "--json", str(data)).exit_code == 0
    rows = json.loads(data.read_text())["rows"]
    states = {row[end]["state"] for row in rows for end in ("client", "server")} - {""}
    page = Page(html.read_text(encoding="utf-8"))
    assert page.loaded == []
    assert states <= page.drawn
    assert "prefers-color-scheme: dark" in html.read_text(encoding="utf-8")


def test_what_a_command_says_is_no_markup(tmp_path: Path) -> None:
    html = tmp_path / "seen.html"
    assert see("-o", str(html), *WITH_ECHO, "--talk", "<b>").exit_code in (0, 1)
    assert "<b>" not in html.read_text(encoding="utf-8")


def test_interruption_shows_what_was_seen_and_writes_it(tmp_path: Path) -> None:
    data = tmp_path / "seen.json"
    words = [sys.executable, "-m", "compare", "see", "--json", str(data), *WITH_SILENT]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        said = b""
        while b"send(6)" not in said:
            said += (line := process.stdout.readline())
            assert line, said
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
    assert b"interrupted: this was seen until then" in rest
    seen = json.loads(data.read_text())
    assert seen["interrupted"]
    assert {"connect()", "send(6)"} <= {row["call"] for row in seen["rows"]}


def test_a_terminal_gets_colours(start: Start) -> None:
    with Terminal(start, "compare", "see", *WITH_ECHO) as terminal:
        screen = terminal.wait_for(b"looks of")
        assert b"\x1b[" in screen
        assert terminal.process.wait(30) == 0


def test_who_closes_the_pipe_ends_it_and_the_server() -> None:
    words = [sys.executable, "-m", "compare", "see", *WITH_ECHO]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert b"Traceback" not in process.stderr.read()
