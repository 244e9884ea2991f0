"""What is said to servers of frames and of timers that are wrong, whichever check meets it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from compare.check import runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import Profile, of_profile
from compare.check.runner import Finding, run

SERVERS = Path(__file__).parent / "servers"


def found(profile: Profile, mistake: str, *ids: str) -> list[Finding]:
    command = (sys.executable, str(SERVERS / f"{profile}.py"), mistake, "{port}")
    return list(run(Subject(profile, command), ids, 7, lambda text: None))


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)


ORDERS = [
    ("length-little-endian", "1,280 is 327,680 for who reads it little-endian, and an answer or "),
    ("numbers-little-endian", "the numbers were read little-endian"),
    ("answer-little-endian", "the answer's length came little-endian"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("mistake", "said"), ORDERS, ids=[each[0] for each in ORDERS])
def test_byte_order_is_told_by_what_it_does(mistake: str, said: str) -> None:
    (finding,) = found("frames", mistake, "fr/3")
    assert said in finding.actual
    assert "83,886,080" in finding.likely


@pytest.mark.timeout(60)
def test_of_what_only_its_protocol_asks_a_server_passes_all_but_its_mistake() -> None:
    ids = [each.id for each in of_profile("frames") if each.profiles == ("frames",)]
    states = {each.id: each.state for each in found("frames", "one-frame-a-read", *ids)}
    assert len(ids) == 8
    assert states == dict.fromkeys(ids, "passed") | {"fr/2": "failed"}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_byte_order_has_one_explanation_in_whichever_check() -> None:
    ids = ("fr/1", "fr/8", "tcp/6", "tcp/19", "life/1")
    assert {each.likely for each in found("frames", "numbers-little-endian", *ids)} == {
        symptoms.SWAPPED
    }


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_who_does_not_answer_a_hello_is_told_what_that_is() -> None:
    findings = found("frames", "length-little-endian", "fr/1", "tcp/5", "life/1")
    assert {each.likely for each in findings} == {symptoms.UNHEEDED["frames"]}


@pytest.mark.timeout(60)
def test_reset_in_the_place_of_the_end_has_one_explanation() -> None:
    findings = found("frames", "resets-at-the-end", "fr/7", "tcp/4")
    assert [each.likely for each in findings] == [symptoms.RESET] * 2


@pytest.mark.timeout(60)
def test_memory_that_is_taken_at_a_word_is_counted() -> None:
    (finding,) = found("frames", "allocates", "fr/6")
    assert finding.expected == "no memory to be taken for a length of 536,870,912"


@pytest.mark.timeout(60)
def test_loop_that_sleeps_for_one_client_is_told_by_the_other_one() -> None:
    (finding,) = found("later", "sleeps-until-the-first", "later/2")
    assert finding.expected == "a line at once beside a client whose line is due later"
    assert "nothing came" in finding.actual
