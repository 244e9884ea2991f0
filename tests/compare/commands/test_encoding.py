"""What is printed where the encoding is not UTF-8, and on terminals of any width."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.commands.encoding import forgive
from compare.results.records import Cell, Run
from compare.results.store import Store

MakeRun = Callable[..., Run]
MakeCell = Callable[..., Cell]
EVERYTHING = "█▉▊▋▌▍▎▏ ▁▂▃▄▅▆▇ ─│ 4.08 µs ±2% 3 × … é 漢 \udcff"  # noqa: RUF001
DEADLINE_S = 30.0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_stream_of_any_encoding_takes_whatever_we_say(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    forgive(stream)
    stream.write(EVERYTHING)
    stream.flush()
    said = raw.getvalue().decode("ascii" if encoding == "ascii" else encoding)
    assert len(said) == len(EVERYTHING)  # so that columns stay columns
    assert "?" in said
    assert ("µ" in said) == (encoding != "ascii")
    assert ("█" in said) == (encoding == "utf-8")


def test_stream_that_is_none_of_the_system_is_left_alone() -> None:
    forgive(io.StringIO())
    forgive(None)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", [("show", "1"), ("diff", "1", "1"), ("show", "é"), ("list",)])
def test_commands_print_what_the_encoding_has(
    tmp_path: Path,
    made_up_run: MakeRun,
    made_up_cell: MakeCell,
    encoding: str,
    words: tuple[str, ...],
) -> None:
    Store(tmp_path / "h").recorder(["compare"])(made_up_run([made_up_cell("epoll", (1e5,) * 5)]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "compare", *map(str.encode, words)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "COMPARE_STORE": str(tmp_path / "h")},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).decode(encoding)
    if words[0] == "show":
        assert done.returncode == (2 if words[1] == "é" else 0)
