"""The tables of docs/aionet.md say what is so."""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import aionet
from aionet import CloseReason, Limits, Timeouts
from aionet.address import Address
from aionet.options import add_options, read_options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aionet.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a section, its head left out."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


SETTINGS = rows("Limits and timeouts")


def test_every_limit_and_timeout_is_in_the_table() -> None:
    names = [
        f"{kind.__name__}.{field.name}" for kind in (Limits, Timeouts) for field in fields(kind)
    ]
    assert [row[0].strip("`") for row in SETTINGS] == names


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0].strip("`"))
def test_setting_has_the_default_and_the_option_of_the_table(row: list[str]) -> None:
    kind, name = row[0].strip("`").split(".")
    settings = {"Limits": Limits(), "Timeouts": Timeouts()}
    default = ast.literal_eval(row[1].strip("`"))
    assert getattr(settings[kind], name) == default
    assert type(getattr(settings[kind], name)) is type(default)
    parser = argparse.ArgumentParser()
    add_options(parser)
    sample: int | str | bool = {
        "on_full": "reject",
        "udp_low_ports": True,
        "outbox": 70_000,
    }.get(name, 77)
    said = [] if sample is True else [str(sample)]
    args = parser.parse_args([row[2].strip("`"), *said])
    settings[kind] = type(settings[kind])(**{name: sample})
    assert read_options(args) == tuple(settings.values())


def test_every_close_reason_is_in_its_table() -> None:
    table = rows("Close reasons")
    assert {row[0].strip("`") for row in table} == set(CloseReason)
    assert len(table) == len(CloseReason)


def test_addresses_of_the_table_can_be_read() -> None:
    text = " ".join(row[0] for row in rows("A program: addresses, workers, loops"))
    for form in re.findall("`([^`]+)`", text):
        place = form.replace("HOST:PORT", "localhost:1").replace("//N", "//3")
        assert Address.parse(place.replace("/PATH", "/run/echo")).scheme == form.partition(":")[0]


def test_names_of_the_page_exist() -> None:
    for name, attribute in re.findall(r"`(Limits|Timeouts|Stats|Hooks|Stream)\.(\w+)`", PAGE):
        assert hasattr(getattr(aionet, name), attribute), f"{name}.{attribute}"
    for path in re.findall(r"`((?:aionet|blocking|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path


def test_every_public_name_is_in_its_table_once() -> None:
    named = [name for row in rows("Every public name") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(aionet.__all__)


def test_lines_of_the_examples_are_what_the_table_says() -> None:
    examples = ROOT / "docs" / "examples"
    table = rows("Real programs")
    assert {row[0].strip("`") for row in table} == {each.name for each in examples.glob("*.py")}
    for name, _, ours, plain, _ in table:
        path = examples / name.strip("`")
        assert int(ours) == len(path.read_text().splitlines()), name
        other = examples / "plain" / path.name
        assert plain == (str(len(other.read_text().splitlines())) if other.exists() else ""), name
