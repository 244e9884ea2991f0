"""The variants of frames: right servers of each pass, and one of another is told which it spoke."""

from __future__ import annotations

import struct
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from compare.__main__ import main
from compare.check import framing, runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import of_profile
from compare.check.runner import Finding, run
from compare.check.variant import ALL, DEFAULT, ORDERED, Variant, of_student, read

SERVER = Path(__file__).parent / "servers" / "frames.py"
FR = [each.id for each in of_profile("frames") if each.id.startswith("fr/")]
EACH = pytest.mark.parametrize("variant", ALL, ids=map(str, ALL))
OTHERS = [(mine, asked) for mine in ALL for asked in ALL if mine != asked]
QUICK = [(read("2,numbers"), DEFAULT), (DEFAULT, read("2,bytes"))]  # and the others take their time


def _slow(whether: bool) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if whether else []


def found(mistake: str, speaks: Variant, asked: Variant, *ids: str) -> list[Finding]:
    command = (sys.executable, str(SERVER), f"{mistake}:{speaks}", "{port}")
    return list(run(Subject("frames", command, variant=asked), ids, 7, lambda text: None))


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "variant",
    [pytest.param(each, id=str(each), marks=_slow(each != read("2,numbers"))) for each in ALL],
)
def test_right_server_of_a_variant_passes_all_that_is_asked_of_frames(variant: Variant) -> None:
    others = ("tcp/5", "tcp/6", "tcp/12", "tcp/18", "life/1")
    findings = found("none", variant, variant, "life/0", *FR, *others)
    assert {each.id: each.actual for each in findings if each.state != "passed"} == {}


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("speaks", "asked"),
    [
        pytest.param(*each, id=f"{each[0]}-for-{each[1]}", marks=_slow(each not in QUICK))
        for each in OTHERS
    ],
)
def test_right_server_of_another_variant_is_told_which_one_it_speaks(
    speaks: Variant, asked: Variant
) -> None:
    findings = found("none", speaks, asked, "fr/1", "fr/3", "fr/4")
    assert [each.state for each in findings] == ["failed"] * 3
    for each in findings:
        assert f"it speaks another variant, {speaks.short} (--variant {speaks})" in each.actual
        assert each.likely == symptoms.OTHER_VARIANT


@pytest.mark.timeout(60)
@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["length-little-endian", "numbers-little-endian"])
@EACH
def test_byte_order_is_told_in_each(variant: Variant, mistake: str) -> None:
    (finding,) = found(mistake, variant, variant, "fr/3")
    assert finding.state == "failed"
    assert "little-endian" in finding.actual
    assert "83,886,080" in finding.likely


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        *(("no-bound", "fr/6"), ("answers-what-there-is", "fr/7"), ("whole-headers", "fr/1")),
        *(("one-frame-a-read", "fr/2"), ("empty-is-the-end", "fr/4"), ("unsigned", "fr/5")),
    ],
)
def test_mistakes_are_found_in_the_shortest_one_too(mistake: str, check: str) -> None:
    other = Variant(2, "numbers")
    assert [each.state for each in found(mistake, other, other, check)] == ["failed"]


def test_nobody_is_told_of_a_variant_that_he_does_not_speak() -> None:
    (finding,) = found("empty-has-no-answer", DEFAULT, DEFAULT, "fr/4")
    assert finding.state == "failed"
    assert "variant" not in finding.actual


@EACH
def test_the_words_have_an_example_that_is_one(variant: Variant) -> None:
    words = variant.words()
    assert framing.frame([1, 2, -4], variant).hex(" ") in words
    assert framing.answer([1, 2, -4], variant).hex(" ") in words
    assert f"--variant {variant}" in words


@EACH
def test_lengths_that_lie_are_beyond_what_is_allowed(variant: Variant) -> None:
    for length in variant.lies():
        size = length if variant.counts == "bytes" else 4 * length
        assert size > variant.most or size % 4
        assert length < 256**variant.header


@EACH
def test_length_that_tells_byte_orders_apart_is_longer_the_other_way_round(
    variant: Variant,
) -> None:
    length = variant.length(4 * ORDERED[variant.header, variant.counts])
    swapped = variant.swapped(length)
    assert struct.pack("<I", swapped).strip(b"\0") == struct.pack(">I", length).strip(b"\0")
    assert length < swapped <= variant.length(variant.most)


def test_everybody_has_a_variant_of_his_own_name_and_each_is_had() -> None:
    assert of_student("ana") == of_student("ana")
    had = Counter(of_student(f"student{number}") for number in range(400))
    assert set(had) == set(ALL)
    assert min(had.values()) > 60


@pytest.mark.parametrize("text", ["3,bytes", "2", "", "4,words"])
def test_what_is_no_variant_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is none of 2,bytes; 2,numbers; 4,bytes; 4,numbers"):
        read(text)
    result = CliRunner().invoke(
        main, ["check", "--profile", "frames", "--variant", text, "--", "true", "{port}"]
    )
    assert result.exit_code == 2
    assert "none of 2,bytes" in result.stderr


def test_variant_is_of_frames_only() -> None:
    result = CliRunner().invoke(main, ["check", "--variant", "2,bytes", "--", "true", "{port}"])
    assert result.exit_code == 2
    assert "--variant goes with --profile frames" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_command_asks_for_a_variant_and_repeats_with_it() -> None:
    server = [sys.executable, str(SERVER), "none:4,bytes", "{port}"]
    words = ["check", "--profile", "frames", "--variant", "2, numbers", "--only", "fr/4"]
    result = CliRunner().invoke(main, [*words, "--", *server])
    assert result.exit_code == 1
    assert "--variant 4,bytes" in result.stdout
    assert "--seed 7 --variant 2,numbers --" in result.stdout
