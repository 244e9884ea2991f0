"""Write what of these pages is made of the code: `python docs/generate.py`.

docs/commands.md, of which the site makes a manual page, too, is made of what `--help` shows, and
docs/schema/ of the records that are written as JSON.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import click  # noqa: E402
import msgspec  # noqa: E402

from compare.__main__ import main  # noqa: E402  of this checkout
from compare.classroom.files import Grading  # noqa: E402
from compare.host.doctor import Diagnosis  # noqa: E402
from compare.report.catalogue import Catalogue  # noqa: E402
from compare.report.checks import Findings, Listing  # noqa: E402
from compare.results.diff import Diff  # noqa: E402
from compare.results.records import Run  # noqa: E402
from compare.see.records import Seen  # noqa: E402

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RECORDS = (Run, Diff, Findings, Listing, Grading, Seen, Catalogue, Diagnosis)

HEAD = """\
# Every command

`compare`, `aionet-compare` and `python -m compare` are the same. `--help` behind a command shows
what stands here, which `python docs/generate.py` makes of it. Whatever fails says so in a line, and
ends with one of these:

| exit status | what it means |
|---|---|
| 0 | all went well, and nothing that was asked for is wrong |
| 1 | something failed: a cell, a check, a requirement, a comparison, what could not be written |
| 2 | a mistake on the command line, or in a file that it names |
| 3 | it cannot be told yet (`run --require`, `diff`) |
| 4 | results could not be written (`class grade`) |
| 130 | interrupted; what was found until then is shown and kept |

The shell completes commands, options and the names of models, workloads and sets where it was told
to, once in `~/.bashrc`, `~/.zshrc` or `~/.config/fish/completions/compare.fish`:

```sh
eval "$(_COMPARE_COMPLETE=bash_source compare)"
eval "$(_COMPARE_COMPLETE=zsh_source compare)"
_COMPARE_COMPLETE=fish_source compare | source
```
"""


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what it is to hold."""
    yield DOCS / "commands.md", commands()
    for record in RECORDS:
        name = format_of(record).replace("/", "-")
        yield DOCS / "schema" / f"{name}.json", json.dumps(schema(record), indent=1) + "\n"


def format_of(record: type[msgspec.Struct]) -> str:
    """Its name and version, which each such file begins with."""
    (field,) = (each for each in msgspec.structs.fields(record) if each.name == "format")
    return str(field.default)


def schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """Of what is written, and what an earlier version of the same format wrote."""
    made = msgspec.json.schema(record)
    for each in made["$defs"].values():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
    top = made["$defs"][record.__name__]
    top["properties"]["format"] = {"const": format_of(record)}
    top["required"] = ["format", *top["required"]]
    return {"$schema": DIALECT, **made}


def commands() -> str:
    """Every command with its options, as Markdown."""
    return "\n".join([HEAD, *_pages(main, click.Context(main, info_name="compare"))])


def _pages(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            yield from _pages(command, inner)
            continue
        yield from _page(command, inner)
        if isinstance(command, click.Group):
            yield from _pages(command, inner)


def _page(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        yield _paragraph(paragraph)
    records = [param.get_help_record(context) for param in command.params]
    for names, words in filter(None, records):
        yield f"- `{names}`: {_escaped(words)}" if words else f"- `{names}`"
    yield ""


def _paragraph(text: str) -> str:
    """As click has it: what stands further in, or behind a \\b, keeps its lines."""
    lines = [line.rstrip() for line in text.splitlines()]
    if lines[0].strip() == "\b" or all(line.startswith("    ") for line in lines):
        inner = "\n".join(line.strip() for line in lines if line.strip() != "\b")
        return f"```text\n{inner}\n```\n"
    return _escaped(" ".join(line.strip() for line in lines)) + "\n"


def _escaped(text: str) -> str:
    """Nothing of it is Markdown, but for `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts
    )


if __name__ == "__main__":
    for path, content in files():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
