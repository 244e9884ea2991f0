"""Clients are checked, too: right ones pass, and each mistake fails the check that is for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from machine import over_ipv6

from compare.check import client_asks, client_ends, runner
from compare.check.bench import Subject
from compare.check.catalogue import CLIENTS, Profile, of_profile
from compare.check.runner import Finding, run
from compare.check.wire import wait_until
from compare.host.place import Place

CLIENTS_HERE = Path(__file__).parent / "clients"
SEED = 7
MISTAKES: dict[Profile, dict[str, set[str]]] = {
    "client": {
        "strips": {"cl/1", "cl/3", "cl/5", "cl/5-tty", "cl/9", "cl/10"},  # whatever has lines
        "listens-when-asked": {"cl/2", "cl/4", "cl/6", "cl/6-said", "cl/7"},
        "one-line-of-a-read": {"cl/3", "cl/9", "cl/10"},
        "decodes-pieces": {"cl/4"},
        "replaces-pieces": {"cl/4"},
        "ends-with-the-input": {"cl/5", "cl/5-tty", "cl/10"},
        "raises-at-the-end": {"cl/5", "cl/5-tty", "cl/10"},
        "reads-on-after-the-end": {"cl/5-tty"},
        "does-not-notice": {"cl/6", "cl/6-said"},
        "spins-at-the-end": {"cl/6", "cl/6-said", "cl/12"},
        "ends-without-a-word": {"cl/6-said"},
        "takes-a-reset-for-the-end": {"cl/7"},
        "traceback-of-a-reset": {"cl/7"},
        "traceback-of-a-refusal": {"cl/8"},
        "names-no-port": {"cl/8"},
        "status-0": {"cl/8"},
        "blocks-in-send": {"cl/9"},
        "drops-the-rest": {"cl/9"},
        "epoll-of-a-file": {"cl/10"},
        "leaves-pollout-on": {"cl/12"},
        "leaves-the-keyboard-on": {"cl/12"},
        "blocking-connect": {"cl/11"},
        "forgets-what-was-typed": {"cl/11"},
        "waits-too-long": {"cl/11"},
    },
    "udp-client": {
        "asks-once": {"uc/1"},
        "waits-for-ever": {"uc/1"},
        "hears-everybody": {"uc/2"},
        "looks-at-the-address-only": {"uc/2"},
        "takes-any-answer": {"uc/3"},
        "cuts": {"uc/4"},
        "traceback": {"uc/5"},
        "says-nothing": {"uc/5"},
        "status-0": {"uc/5"},
        "spins": {"uc/6"},
    },
}
SCRIPTS = {"client": "tcp.py", "udp-client": "udp.py"}
LIMITS: dict[Profile, dict[str, float]] = {"client": {"connect": 2.0}, "udp-client": {}}
QUICK = {"epoll-of-a-file", "cuts"}
CASES = [
    pytest.param(
        profile,
        mistake,
        id=f"{profile}-{mistake}",
        marks=[] if mistake in QUICK else [pytest.mark.slow],
    )
    for profile, mistakes in MISTAKES.items()
    for mistake in mistakes
]


def findings(profile: Profile, *command: str, ids: list[str] | None = None) -> list[Finding]:
    subject = Subject(profile, command, limits=LIMITS[profile], strict=True)
    wanted = ids or [each.id for each in of_profile(profile)]
    return list(run(subject, wanted, SEED, lambda text: None, regardless=True))


def failed(found: list[Finding]) -> dict[str, str]:
    return {
        each.id: each.reason or f"{each.expected}; {each.actual}"
        for each in found
        if each.state != "passed"
    }


def script(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(CLIENTS_HERE / name), *arguments, "{host}", "{port}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("profile", "mistake"), CASES)
def test_mistake_fails_the_checks_that_are_for_it(
    profile: Profile, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.5)
    monkeypatch.setattr(client_asks, "ASKS_AGAIN_S", 3.0)
    expected = MISTAKES[profile][mistake]
    ids = [each.id for each in of_profile(profile) if each.kind != "LIMIT" or each.id in expected]
    found = findings(profile, *script(SCRIPTS[profile], mistake), ids=ids)
    assert set(failed(found)) == expected, failed(found)
    assert all(each.likely and each.timeline for each in found if each.state == "failed")


def test_each_check_has_a_mistake_that_fails_it() -> None:
    for profile in CLIENTS:
        assert set.union(*MISTAKES[profile].values()) == {each.id for each in of_profile(profile)}


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("profile", CLIENTS)
def test_client_without_a_mistake_passes(profile: Profile) -> None:
    assert failed(findings(profile, *script(SCRIPTS[profile], "none"))) == {}


def compiled(name: str, folder: Path) -> tuple[str, ...]:
    """What starts a client in another language; skips where there is no compiler."""
    source = CLIENTS_HERE / name
    words = {".js": ["node"], ".c": ["cc", "-Wall", "-Wextra", "-Werror", "-O2"]}[source.suffix]
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    if source.suffix == ".js":
        return (*words, str(source), "{host}", "{port}")
    program = folder / source.stem
    subprocess.run([*words, "-o", program, source], check=True, timeout=100)
    return (str(program), "{host}", "{port}")


OTHERS: list[tuple[Profile, str]] = [
    ("client", "client.c"),
    ("client", "client.js"),
    ("udp-client", "asks.c"),
    ("udp-client", "asks.js"),
]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("profile", "name"), OTHERS, ids=[name for _, name in OTHERS])
def test_right_client_in_another_language_passes(
    profile: Profile, name: str, tmp_path: Path
) -> None:
    assert failed(findings(profile, *compiled(name, tmp_path))) == {}


OURS: list[tuple[Profile, tuple[str, ...]]] = [
    ("client", ("send", "tcp://{host}:{port}", "--connect-timeout", "2")),
    ("udp-client", ("send", "udp://{host}:{port}", "--echo", "--timeout", "0.5")),
]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("profile", "words"), OURS, ids=CLIENTS)
def test_our_own_clients_pass(profile: Profile, words: tuple[str, ...]) -> None:
    assert failed(findings(profile, sys.executable, "-m", "blocking", *words)) == {}


@pytest.mark.timeout(60)
def test_what_a_client_cannot_do_without_another_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    command = script("tcp.py", "listens-when-asked")
    made = run(Subject("client", command), ["cl/2", "cl/4"], SEED, lambda text: None)
    found = {each.id: each for each in made}
    assert found["cl/2"].state == "failed"
    assert found["cl/4"].reason == "not asked: cl/2 comes first"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_beginners_client_fails_most_of_what_a_client_meets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.5)
    found = set(failed(findings("client", *script("beginner.py"))))
    assert {"cl/3", "cl/4", "cl/5", "cl/6", "cl/7", "cl/8", "cl/10", "cl/11", "cl/12"} <= found
    assert not found & {"cl/1", "cl/2"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("profile", CLIENTS)
def test_client_that_ends_at_once_is_told_of_once(profile: Profile) -> None:
    found = findings(profile, sys.executable, "no-such-client.py", "{port}")
    assert [each.started for each in found[:2]] == [False, False]
    assert "can't open file" in found[0].actual
    assert all(each.state != "passed" for each in found)
    assert len({each.actual for each in found if not each.started}) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", over_ipv6("::ffff:127.0.0.1")])
def test_client_that_waits_in_connect_is_seen_on_a_socket_of_either_version(address: str) -> None:
    """A run-time that has sockets of IPv6 only, as Java's, reaches IPv4 by a mapped address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.socket(family) as sock,
    ):
        here = Place("tcp", *listener.getsockname())
        with socket.create_connection(here[1:]):
            assert not client_ends._is_asked(here)
            sock.setblocking(False)
            sock.connect_ex((address, here.port))
            assert wait_until(lambda: client_ends._is_asked(here), 5.0)
