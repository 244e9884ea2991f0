"""What is said of a client's mistake: by what it did, in its own language, and not of servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from compare.check import diagnosis, runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import CHECKS, CLIENTS, of_profile
from compare.check.client_languages import CALLS, MISTAKES
from compare.check.languages import LANGUAGES, look_up, mistake_of
from compare.check.runner import Finding, run

TURNS = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin.buffer:
    sock.sendall(line)
    print(sock.recv(65536).decode(), end="", flush=True)
"""
LEAVES = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while line := sys.stdin.buffer.readline():
    sock.sendall(line)
"""
ADDS = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while piece := sock.recv(65536):
    sys.stdout.buffer.write(piece + b"\\n")
    sys.stdout.buffer.flush()
"""
ENDS_AT_ONCE = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.sendto(sys.stdin.buffer.readline(), (sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)


def found(program: str, id_: str, folder: Path) -> Finding:
    script = folder / "client.py"
    script.write_text(program)
    profile = CHECKS[id_].profiles[0]
    subject = Subject(profile, (sys.executable, str(script), "{host}", "{port}"))
    (finding,) = run(subject, [id_], 7, lambda text: None)
    assert finding.state == "failed", finding
    return finding


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("program", "id_", "likely"),
    [
        (TURNS, "cl/1", symptoms.TAKES_TURNS),
        (LEAVES, "cl/5", symptoms.LEFT_EARLY),
        (ADDS, "cl/4", symptoms.PIECES_AS_LINES),
    ],
)
def test_what_a_client_did_is_named(program: str, id_: str, likely: str, tmp_path: Path) -> None:
    finding = found(program, id_, tmp_path)
    assert finding.likely == likely, finding.actual


@pytest.mark.timeout(60)
def test_client_that_ended_is_not_said_to_have_been_waited_for(tmp_path: Path) -> None:
    finding = found(ENDS_AT_ONCE, "uc/1", tmp_path)
    assert finding.actual == "it has ended: exit status 0; before that, nothing came"
    assert finding.likely == CHECKS["uc/1"].mistake


def test_nothing_that_is_said_of_a_client_speaks_of_accept() -> None:
    for ending in ("exit status 0", "BrokenPipeError: Broken pipe", "EMFILE", "killed by SIGPIPE"):
        for ended in (True, False):
            likely = diagnosis.of_clients_ending(ending, input_has_ended=ended)
            assert "accept" not in likely
            assert "server" not in likely


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_check_of_a_client_has_a_call_in_every_language(language: str) -> None:
    for profile in CLIENTS:
        for each in of_profile(profile):
            assert look_up(each.id, each.mistake, language) in {  # type: ignore[arg-type]
                texts[language]  # type: ignore[index]
                for texts in CALLS.values()
            }


def test_mistake_is_told_in_the_language_of_the_program() -> None:
    usual = CHECKS["udp/1"].mistake
    assert "asyncio" in mistake_of("udp/1", usual, "python")
    for texts in MISTAKES.values():
        assert not any("asyncio" in text or "input()" in text for text in texts.values())
    assert "puts()" in mistake_of("cl/4", CHECKS["cl/4"].mistake, "c")
    assert mistake_of("tcp/1", "as usual", "c") == "as usual"
