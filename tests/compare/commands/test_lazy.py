"""A command is imported when it is called, and no other one with it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from compare.__main__ import HOMES, main

ASKED = """
import sys
from compare.__main__ import main
main(["check", "--help"], standalone_mode=False)
homes = {name.rpartition(".")[2] for name in sys.modules if name.startswith("compare.commands.")}
print(*sorted(homes & {"run", "learn", "classroom", "history", "check"}), file=sys.stderr)
"""


@pytest.mark.timeout(30)
def test_who_asks_for_one_waits_for_no_other() -> None:
    told = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True)
    assert (told.returncode, told.stderr.split()) == (0, ["check"])


@pytest.mark.parametrize("name", HOMES)
def test_each_is_where_it_is_said_to_be(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
