"""Blocks over TLS, from the settings to the cells, against real servers."""

from __future__ import annotations

import msgspec
import pytest
from made_up_records import made_up_outcome, made_up_round
from short_runs import BELIEVED, asked, cells_of, run_of

from compare.host import certificate
from compare.measure.loads import loads_of
from compare.measure.tally import Tally
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.report import spreadsheet
from compare.report.sentences import answer
from compare.results.percentiles import Percentiles
from compare.results.records import Handshakes, Load

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(certificate.why_not() is not None, reason="no openssl"),
]


def test_handshakes_of_connections_that_stay_open_are_full() -> None:
    loads = loads_of(asked(workloads=["tcp-short", "tcp-long"], tls=["none", "full", "resumed"]))
    assert [(each.workload, each.tls) for each in loads] == [
        *(("tcp-short", "none"), ("tcp-short", "full"), ("tcp-short", "resumed")),
        *(("tcp-long", "none"), ("tcp-long", "full")),
    ]


def test_plain_and_tls_stand_side_by_side() -> None:
    run = run_of(MODELS["epoll"], tls=["none", "full"])
    plain, secure = run.cells
    assert (plain.tls, secure.tls) == ("none", "full")
    assert {plain.verdict, secure.verdict} <= {*BELIEVED}
    assert plain.handshakes is None
    done = secure.handshakes
    assert done is not None
    assert (done.version, done.full, done.resumed) == ("TLSv1.3", 4, 0)
    assert secure.counts.served == 4
    assert secure.errors == {}
    assert f"All speak TLSv1.3 with {done.cipher}." in answer([secure], [])
    header, *rows = spreadsheet.table_of(run).splitlines()
    texts = [dict(zip(header.split(","), each.split(","), strict=False)) for each in rows]
    assert [(each["tls"], each["tls_version"]) for each in texts] == [
        ("none", ""),
        ("full", "TLSv1.3"),
    ]


def test_sessions_of_short_connections_are_resumed() -> None:
    cell = cells_of(MODELS["asyncio"], workloads=["tcp-short"], tls=["resumed"])["asyncio"]
    assert cell.verdict in BELIEVED
    assert cell.handshakes is not None
    assert cell.handshakes.full == 4  # the first of each place
    assert cell.handshakes.resumed == cell.counts.attempted - 4 > 0
    assert any("; a handshake takes at the median: asyncio " in each for each in answer([cell], []))


def test_idle_connections_stand_over_tls() -> None:
    cell = cells_of(MODELS["epoll"], tls=["full"], idle=[20])["epoll"]
    assert cell.held is not None
    assert cell.held.all_served
    assert cell.held.server_kb > 20 * 10  # what OpenSSL takes for a connection
    assert cell.verdict in BELIEVED


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (MODELS["rloop"], "rloop 0.5 has no TLS"),
        (MODELS["twisted"], "it takes pyOpenSSL for TLS"),
        (MODELS["bare-epoll"], "a yardstick for plain TCP"),
        (Model("mine", "", ("true",), own=True), "a server of your own is asked over TCP only"),
    ],
    ids=["rloop", "twisted", "reference", "own"],
)
def test_who_speaks_no_tls_is_unsupported_and_says_why(model: Model, words: str) -> None:
    if model.module:
        pytest.importorskip(model.module, reason=f"pip install {model.module}")
    cell = cells_of(model, tls=["full"])[model.name]
    assert cell.verdict == "unsupported"
    assert words in cell.reasons[0]


def test_certificate_that_cannot_be_made_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("openssl made no certificate: out of luck")

    monkeypatch.setattr(certificate, "make", fail)
    cell = cells_of(MODELS["epoll"], tls=["full"])["epoll"]
    assert (cell.verdict, cell.reasons) == ("failed", ["openssl made no certificate: out of luck"])


def test_load_of_an_older_version_is_over_plain_tcp() -> None:
    old = b'{"workload":"tcp-long","connections":4,"size":100}'
    assert msgspec.json.decode(old, type=Load).tls == "none"


@pytest.mark.parametrize(
    ("full", "resumed", "said"),
    [
        (8, 400, []),  # the first of each place, in two rounds
        (208, 200, ["it took up 200 of 400 sessions: the others began anew"]),
        (408, 0, ["it took up 0 of 400 sessions: the others began anew"]),
    ],
)
def test_sessions_that_are_not_taken_up_are_said(full: int, resumed: int, said: list[str]) -> None:
    load = Load(workload="tcp-short", connections=4, size=100, tls="resumed")
    tally = Tally(MODELS["epoll"], load, None, pinned=True)
    for part in (2, 2):
        done = Handshakes(
            version="TLSv1.3",
            cipher="A",
            library="B",
            full=full // part,
            resumed=resumed // part,
            latency_us=Percentiles(),
        )
        tally.take((made_up_outcome(), made_up_round(handshakes=done)))
    reasons = [each for each in tally.cell().reasons if "sessions" in each]
    assert reasons == said
