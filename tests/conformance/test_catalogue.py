"""Our models pass every check of `compare check`, and keep every limit that they declare.

What a client sees of a server is checked there. The other files here are for what only we know of
ours: the log, the counters, TLS, workers, and what one client at a time means.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import trustme
from measure import OURS

from compare.check.bench import Subject
from compare.check.catalogue import CHECKS
from compare.check.runner import run
from compare.commands.check import read_limit
from compare.models.matrix import DEFAULT_MODELS

ROOT = Path(__file__).parents[2]
SEED = 7
SWITCHING = (  # `python -m blocking` with threads that switch every microsecond
    "import sys; sys.setswitchinterval(1e-6); sys.argv[0] = 'blocking';"
    "from blocking.__main__ import main; main(sys.argv[1:])"
)
LOGGED = {"tcp/16", "life/5"}  # that there are no descriptors left; that a worker died
# The others take minutes, and a handful of their checks is among the tests of compare's gate.
ALWAYS = DEFAULT_MODELS
BY_CHANCE = "prefork-reuseport"  # what its processes are dealt decides


def _cases() -> list[object]:
    cases = []
    for name, server in OURS.items():
        for declared, options in [("", ()), *server.limits]:
            for id_ in server.ids(declared):
                words = shlex.join([declared, *options]) if declared else ""
                case = (server, declared, options, id_)
                always = name.removesuffix(f"-{server.profile}") in ALWAYS
                marks = [] if always else [pytest.mark.slow]
                cases.append(pytest.param(*case, id=f"{id_} {name} {words}".strip(), marks=marks))
    return cases


def _must_pass(subject: Subject, id_: str) -> None:
    (finding,) = run(subject, [id_], SEED, lambda text: None)
    if finding.state == "skipped":
        pytest.skip(finding.reason)
    assert finding.state == "passed", f"expected {finding.expected}; {finding.actual}"
    assert id_ in LOGGED or finding.stderr == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("server", "declared", "options", "id_"), _cases())
def test_check_is_passed(server, declared, options, id_, interpreter, must_run):
    must_run(server.package)
    if id_ in server.exceptions:
        pytest.skip(server.exceptions[id_])
    command = (interpreter, "-W", "always", *server.command[1:], *options)
    limits = dict([read_limit(declared)]) if declared else {}
    subject = Subject(server.profile, command, limits=limits, cwd=str(ROOT))
    _must_pass(subject, id_)


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
    subject = Subject(server.profile, (interpreter, *server.command[1:]), cwd=str(ROOT))
    (finding,) = run(subject, [id_], SEED, lambda text: None)
    assert finding.state == "failed"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("id_", ["chat/8", "chat/9"])
def test_check_is_passed_with_threads_switching_every_microsecond(id_, interpreter):
    words = ("serve", "chat", "--model", "threaded", "--listen", "tcp://{host}:{port}")
    _must_pass(Subject("chat", (interpreter, "-c", SWITCHING, *words), cwd=str(ROOT)), id_)


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


def test_every_check_is_passed_by_one_of_ours():
    passed = {case.values[3] for case in _cases()}
    assert passed == CHECKS.keys() - {"life/3"}
