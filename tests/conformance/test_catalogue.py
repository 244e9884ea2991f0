"""Our models pass every check of `compare check`, and keep every limit that they declare.

What a client sees of a server is checked there. The other files here are for what only we know of
ours: the log, the counters, TLS, workers, and what one client at a time means.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import trustme
from measure import OURS, Server

from compare.check.bench import Subject
from compare.check.catalogue import CHECKS
from compare.check.declared import read_limit
from compare.check.runner import Finding, run, run_together

ROOT = Path(__file__).parents[2]
SEED = 7
SWITCHING = (  # `python -m blocking` with threads that switch every microsecond
    "import sys; sys.setswitchinterval(1e-6); sys.argv[0] = 'blocking';"
    "from blocking.__main__ import main; main(sys.argv[1:])"
)
# All but those of what we cannot mend: rloop 0.5 leaves its own sockets open at its end.
WARNINGS = ("-W", "always", "-W", "ignore::ResourceWarning:rloop.loop")
LOGGED = {"tcp/16", "life/5"}  # that there are no descriptors left; that a worker died
# The others share the core and take minutes; compare's gate asks some of the same. A server that
# is asked one thing after the other takes less than one for each.
ALWAYS = ("asyncio", "threaded")
ALWAYS_AFRESH = ("asyncio",)
ONE_THREAD = ("select", "poll", "epoll", "epoll-et", "coroutines", "asyncio", "uvloop")
# What its processes are dealt decides; when it gets to close what it was told to.
BY_CHANCE = ("prefork-reuseport", "rloop")
# What ends the server, looks at how it grows from its beginning on, or begins in an empty room.
AFRESH = {"tcp/8", "tcp/13", "tcp/19", "life/1", *(id_ for id_ in CHECKS if "chat/" in id_)}


def _marks(
    name: str, server: Server, always: tuple[str, ...] = ALWAYS
) -> list[pytest.MarkDecorator]:
    return [] if name.removesuffix(f"-{server.profile}") in always else [pytest.mark.slow]


def _cases() -> list[Any]:
    """Of each server each check that has one of its own: the above, and those of limits."""
    cases = []
    for name, server in OURS.items():
        for declared, options in [("", ()), *server.limits]:
            for id_ in server.ids(declared):
                if not declared and id_ not in AFRESH:
                    continue
                words = shlex.join([declared, *options]) if declared else ""
                case_id = f"{id_} {name} {words}".strip()
                case = (server, declared, options, id_)
                cases.append(
                    pytest.param(*case, id=case_id, marks=_marks(name, server, ALWAYS_AFRESH))
                )
    return cases


def _together(server: Server) -> list[str]:
    """The checks that one server can be asked, one after the other."""
    return [id_ for id_ in server.ids() if id_ not in {*AFRESH, *server.exceptions}]


def _assert_passed(finding: Finding) -> None:
    assert finding.state == "passed", f"{finding.id}: expected {finding.expected}; {finding.actual}"
    assert finding.id in LOGGED or finding.stderr == ""


def _must_pass(subject: Subject, id_: str) -> None:
    (finding,) = run(subject, [id_], SEED, lambda text: None)
    if finding.state == "skipped":
        pytest.skip(finding.reason)
    _assert_passed(finding)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("server", "declared", "options", "id_"), _cases())
def test_check_is_passed(server, declared, options, id_, interpreter, must_run):
    must_run(server.package)
    if id_ in server.exceptions:
        pytest.skip(server.exceptions[id_])
    command = (interpreter, *WARNINGS, *server.command[1:], *options)
    limits = dict([read_limit(declared)]) if declared else {}
    subject = Subject(server.profile, command, limits=limits, strict=True, cwd=str(ROOT))
    _must_pass(subject, id_)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "server",
    [pytest.param(server, id=name, marks=_marks(name, server)) for name, server in OURS.items()],
)
def test_checks_are_passed_one_after_the_other(server, interpreter, must_run):
    must_run(server.package)
    command = (interpreter, *WARNINGS, *server.command[1:])
    subject = Subject(server.profile, command, strict=True, cwd=str(ROOT))
    found = list(run_together(subject, _together(server), SEED))
    for finding in found:
        if finding.state != "skipped":
            _assert_passed(finding)
    assert [finding.id for finding in found] == _together(server)
    if reasons := [f"{each.id}: {each.reason}" for each in found if each.state == "skipped"]:
        pytest.skip("; ".join(reasons))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "id_"),
    [
        pytest.param(name, id_, id=f"{id_} {name}")
        for name, server in OURS.items()
        for id_ in server.exceptions
        if id_ in server.ids() and not name.startswith(BY_CHANCE)
    ],
)
def test_exception_is_one(name, id_, interpreter, must_run):
    """What a model is said not to pass it does not: else it could be held to it."""
    server = OURS[name]
    must_run(server.package)
    command = (interpreter, *server.command[1:])
    subject = Subject(server.profile, command, strict=True, cwd=str(ROOT))
    (finding,) = run(subject, [id_], SEED, lambda text: None)
    assert finding.state == "failed"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("id_", ["chat/8", "chat/9", "chat/8-names", "chat/9-order"])
def test_check_is_passed_with_threads_switching_every_microsecond(id_, interpreter):
    words = ("serve", "chat", "--model", "threaded", "--listen", "tcp://{host}:{port}")
    command = (interpreter, "-c", SWITCHING, *words)
    _must_pass(Subject("chat", command, strict=True, cwd=str(ROOT)), id_)


@pytest.fixture
def certificate(tmp_path):
    """The options that give a server one."""
    made = trustme.CA().issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(chain)
    made.private_key_pem.write_to_path(key)
    return ("--tls-cert", str(chain), "--tls-key", str(key))


@pytest.mark.parametrize("model", ["asyncio", "uvloop"])
def test_handshakes_have_a_time_limit(model, interpreter, must_run, certificate):
    must_run(model)
    words = ("-m", "aionet", "serve", "echo", "--loop", model, "--handshake-timeout", "0.5")
    command = (interpreter, *words, *certificate, "--listen", "tcp://{host}:{port}")
    _must_pass(Subject("tcp-echo", command, limits={"handshake": 0.5}, cwd=str(ROOT)), "life/3")


@pytest.mark.parametrize(
    ("model", "profile"),
    [
        pytest.param(model, profile, marks=_marks(model, OURS[f"{model}-{profile}"]))
        for model in ONE_THREAD
        for profile in ("tcp-echo", "chat")
    ],
)
def test_model_of_one_thread_is_one(model, profile, interpreter, must_run):
    server = OURS[f"{model}-{profile}"]
    must_run(server.package)
    command = (interpreter, *WARNINGS, *server.command[1:])
    _must_pass(Subject(profile, command, style="one-thread", cwd=str(ROOT)), "nb/1")


def test_every_check_of_what_ours_serve_is_passed_by_one_of_them():
    passed = {case.values[3] for case in _cases()}
    for server in OURS.values():
        passed.update(_together(server))
    ours = {server.profile for server in OURS.values()}
    asked = {id_ for id_, check in CHECKS.items() if ours & {*check.profiles}}
    assert passed == asked - {"life/3", "nb/1"}
