"""What each lesson's folder has: nothing missing, nothing besides, and texts that one reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compare.check.catalogue import CHECKS
from compare.learn import experiment
from compare.learn.lesson import LESSONS, TONGUES, Lesson, lessons
from compare.learn.screen import HEIGHT, WIDTH
from compare.models.matrix import MODELS, WORKLOADS
from compare.see.scenes import SCENES

ROOT = Path(__file__).parents[3]
EACH = pytest.mark.parametrize("lesson", lessons(), ids=lambda each: each.name)


def test_there_are_twelve_in_order() -> None:
    assert [each.number for each in lessons()] == list(range(1, 13))
    folders = {each.name for each in LESSONS.iterdir() if not each.name.startswith("__")}
    assert folders == {each.name for each in lessons()}


@EACH
def test_a_folder_has_a_program_for_each_step_and_nothing_besides(lesson: Lesson) -> None:
    programs = {
        lesson.source(part, tongue, done).name
        for part in lesson.words.part
        for tongue in TONGUES
        for done in range(len(lesson.steps(part, tongue)) + 1)
    }
    others = {"lesson.toml", "text.md"} | (set() if lesson.words.see.scene else {"see.py"})
    files = {each.name for each in lesson.folder.iterdir() if each.name != "__pycache__"}
    assert files == programs | others


@EACH
def test_a_step_has_checks_of_its_profile_and_three_hints_in_each_language(lesson: Lesson) -> None:
    for part in lesson.words.part:
        asked = [check for step in part.step for check in step.checks]
        assert all(part.profile in CHECKS[each].profiles for each in asked)
        assert {CHECKS[each].limit for each in asked} - {None} == set(part.limits)
        for step in part.step:
            for tongue in step.only:
                assert step.question
                assert step.call[tongue]
                assert 1 <= len(step.line[tongue].strip().splitlines()) <= 3
        for tongue in TONGUES:
            steps = [check for step in lesson.steps(part, tongue) for check in step.checks]
            assert len(steps) == len(set(steps))
            assert part.fails[tongue][0] == steps[0]
            assert set(part.fails[tongue]) <= set(steps)


@EACH
def test_an_experiment_has_a_question_and_one_right_answer(lesson: Lesson) -> None:
    see = lesson.words.see
    assert 2 <= len(see.choices) <= 4
    assert 0 <= see.right < len(see.choices)
    assert see.scene is None or see.scene in SCENES
    assert see.then


@EACH
def test_a_question_what_is_seen_and_the_answer_are_on_one_page(lesson: Lesson) -> None:
    see = lesson.words.see
    if see.scene is not None:
        return
    seen = lesson.text.read_text(encoding="utf-8").partition("## What was seen")[2]
    lines = seen.partition("```text\n")[2].partition("```")[0].splitlines()
    wrong = next(each for each in range(len(see.choices)) if each != see.right) + 1
    asked, told = experiment.answered(lesson, wrong), experiment.told(lesson, wrong)
    assert len([*asked, "", *lines, "", *told, "Enter goes back"]) <= HEIGHT


@EACH
def test_what_is_measured_is_of_the_matrix(lesson: Lesson) -> None:
    cell = lesson.words.measure
    assert (cell is None) is (lesson.words.instead != "")
    if cell is not None:
        assert set(cell.workload.split(",")) <= set(WORKLOADS)
        assert [each for each in cell.models if each not in MODELS] == []


@EACH
def test_a_solution_is_short_and_no_way_to_it_is_long(lesson: Lesson) -> None:
    for part in lesson.words.part:
        for tongue in TONGUES:
            steps = len(lesson.steps(part, tongue))
            for done in range(steps + 1):
                source = lesson.source(part, tongue, done)
                lines = source.read_text(encoding="utf-8").splitlines()
                assert len(lines) <= (80 if done == steps else 100), source.name


@EACH
def test_a_text_is_of_a_length_that_one_reads_and_names_what_is_there(lesson: Lesson) -> None:
    text = lesson.text.read_text(encoding="utf-8")
    assert text.startswith(f"# {lesson.number}. {lesson.words.title}\n")
    assert 40 <= len(text.splitlines()) <= 150
    assert "\n## What ours does beyond\n" in text
    named = re.findall(r"`((?:aionet|blocking|compare)/[\w/]+\.py)`", text)
    assert named
    assert [each for each in named if not (ROOT / each).exists()] == []
    checks = re.findall(r"`((?:tcp|udp|life|chat|fr|later|cl|uc|nb)/\d[\w-]*)`", text)
    assert [each for each in checks if each not in CHECKS] == []


def test_an_idea_fits_its_line() -> None:
    assert [each.name for each in lessons() if len(each.words.idea) >= 2 * WIDTH] == []
