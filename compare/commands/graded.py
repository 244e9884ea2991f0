"""The files that programs read: there from the beginning, with every check, whatever happens."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from compare.check.bench import Subject
from compare.check.runner import Finding, not_asked
from compare.commands.output import as_json
from compare.report import checks

NOT_YET = "not asked: `compare check` was ended before that"


class Graded:
    """What was found so far of the checks `ids`, on stdout and in files. Raises click.BadParameter.

    outputs: where to write which format; None is nowhere, and - stdout, at the end only.
    """

    def __init__(
        self, subject: Subject, ids: Sequence[str], outputs: Mapping[str, str | None]
    ) -> None:
        self.findings: list[Finding] = []
        self.unwritten: dict[str, str] = {}
        self._ids = ids
        self._name = shlex.join(subject.command) or "{}://{}:{}".format(*subject.place or ())
        self._outputs = {kind: path for kind, path in outputs.items() if path is not None}
        self._write(NOT_YET)
        for kind, reason in self.unwritten.items():
            raise click.BadParameter(reason, param_hint=f"'--{kind}'")

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._write(NOT_YET)

    def end(self, reason: str = NOT_YET) -> None:
        """There is no more to be found, or no more will be, for that reason."""
        self._write(reason)
        if self._outputs.get("json") == "-":
            sys.stdout.buffer.write(self._content("json", self._all(reason)))

    def _all(self, reason: str) -> list[Finding]:
        left = self._ids[len(self.findings) :]
        return [*self.findings, *(not_asked(name, reason) for name in left)]

    def _write(self, reason: str) -> None:
        found = self._all(reason)
        for kind, path in self._outputs.items():
            if path == "-":
                continue
            try:
                Path(path).write_bytes(self._content(kind, found))
                self.unwritten.pop(kind, None)
            except OSError as error:
                self.unwritten[kind] = f"cannot write {path!r}: {error.strerror}"

    def _content(self, kind: str, found: list[Finding]) -> bytes:
        if kind == "junit":
            return checks.junit(found, self._name)
        if kind == "gradescope":
            return msgspec.json.encode(checks.gradescope(found))
        return as_json(checks.Findings(subject=self._name, findings=found))
