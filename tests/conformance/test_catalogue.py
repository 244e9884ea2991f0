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
from compare.check.cli import read_limit
from compare.check.runner import run

ROOT = Path(__file__).parents[2]
SEED = 7
SWITCHING = (  # `python -m blocking` with threads that switch every microsecond
    "import sys; sys.setswitchinterval(1e-6); sys.argv[0] = 'blocking';"
    "from blocking.__main__ import main; main(sys.argv[1:])"
)
LOGGED = {"tcp/16", "life/5"}  # that there are no descriptors left; that a worker died
ONE_AT_A_TIME = {  # what `blocking` cannot pass by nature
    "tcp/5": "whoever comes second waits until the silent client leaves",
    "tcp/9": "the client that stalls is the one being served; the other one waits",
    "tcp/12-held": "a held connection is served only when those before it have left",
    "life/2": "the stalled client is the one being served; there is none beside it",
    **dict.fromkeys(
        ("chat/3", "chat/4", "chat/6", "chat/7", "chat/8", "chat/9"),
        "two clients are never in the room at the same time",
    ),
}


def _cases() -> list[object]:
    cases = []
    for name, server in OURS.items():
        for declared, options in [("", ()), *server.limits]:
            for id_ in server.ids(declared):
                words = shlex.join([declared, *options]) if declared else ""
                case = (server, declared, options, id_)
                cases.append(pytest.param(*case, id=f"{id_} {name} {words}".strip()))
    return cases


def _must_pass(subject: Subject, id_: str, *, alone: bool = False) -> None:
    (finding,) = run(subject, [id_], SEED, lambda text: None, alone=alone)
    if finding.state == "skipped":
        pytest.skip(ONE_AT_A_TIME[id_] if alone else finding.reason)
    assert finding.state == "passed", f"expected {finding.expected}; {finding.actual}"
    assert id_ in LOGGED or finding.stderr == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("server", "declared", "options", "id_"), _cases())
def test_check_is_passed(server, declared, options, id_, interpreter, must_run):
    must_run(server.package)
    command = (interpreter, "-W", "always", *server.command[1:], *options)
    limits = dict([read_limit(declared)]) if declared else {}
    subject = Subject(server.profile, command, limits=limits, cwd=str(ROOT))
    _must_pass(subject, id_, alone=server.alone)


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
