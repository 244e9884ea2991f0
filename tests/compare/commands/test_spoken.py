"""What a server of one's own serves, where nobody said: it is asked."""

from __future__ import annotations

import sys

import click
import pytest
from click.core import ParameterSource

from compare.check.speaks import spoken
from compare.commands.spoken import found_out
from compare.host.launch import LaunchError
from compare.models.matrix import WORKLOADS
from compare.models.model import Model
from compare.models.own_servers import from_option

pytestmark = pytest.mark.usefixtures("nothing_left")
ALL = list(WORKLOADS)
SILENT = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    conn, _ = server.accept()
    conn.recv(100)
    conn.sendall(b"something else")
    conn.close()
"""


def ours(service: str, scheme: str = "tcp") -> tuple[str, ...]:
    serve = ("-P", "-m", "blocking", "serve", service, "--model", "epoll", "--listen")
    return (sys.executable, *serve, f"{scheme}://{{host}}:{{port}}")


@pytest.mark.parametrize(
    ("command", "profile"),
    [
        (ours("echo"), "tcp-echo"),
        (ours("chat"), "chat"),
        (ours("udp-echo", "udp"), "udp-echo"),
        ((sys.executable, "-c", SILENT, "{port}"), None),
    ],
)
def test_server_is_known_by_its_answers(command: tuple[str, ...], profile: str | None) -> None:
    assert spoken(command) == profile


def test_server_that_says_itself_where_it_listens_is_asked_there() -> None:
    command = (*ours("udp-echo", "udp")[:-1], "udp://127.0.0.1:0")
    assert spoken(command) == "udp-echo"


def test_server_that_does_not_start_says_why() -> None:
    with pytest.raises(LaunchError, match="exit status 3"):
        spoken((sys.executable, "-c", "raise SystemExit(3)", "{port}"))


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch):
    """As from the command line, where --workloads was typed or not."""

    def ask(model: Model, *, typed: bool = False, workloads: list[str] = ALL) -> Model:
        source = ParameterSource.COMMANDLINE if typed else ParameterSource.DEFAULT
        context = click.Context(click.Command("run"))
        context.set_parameter_source("workloads", source)
        with context:
            return found_out([model], workloads)[0]

    return ask


def test_server_is_measured_under_what_it_speaks(
    asked_for, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Model("mine", "mine", ours("echo"), own=True)
    found = asked_for(model)
    assert sorted(found.cannot) == ["chat", "udp-echo"]
    assert "mine echoes over TCP: measured under tcp-short and tcp-long" in capsys.readouterr().err


@pytest.mark.parametrize(
    "how", [{"typed": True}, {"workloads": ["tcp-long"]}, {"workloads": ["tcp-long", "tcp-short"]}]
)
def test_nobody_is_asked_what_was_said(asked_for, how) -> None:
    model = from_option("mine=false")
    assert asked_for(model, **how) is model


def test_server_that_does_not_start_is_left_to_its_cells(asked_for) -> None:
    model = from_option(f"mine={sys.executable} -c 'raise SystemExit(3)' {{port}}")
    assert asked_for(model) is model


def test_server_that_answers_like_none_asks_for_a_word(asked_for) -> None:
    model = Model("mine", "mine", (sys.executable, "-c", SILENT, "{port}"), own=True)
    with pytest.raises(click.UsageError, match="neither echoes what it is sent nor speaks first"):
        asked_for(model)
