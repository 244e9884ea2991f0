"""What the checks found: for a person, and as JUnit and Gradescope files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import msgspec
from rich.console import Console

from compare.check.catalogue import CHECKS, PROFILES, Check, Kind, Profile, of_profile
from compare.check.runner import Finding
from compare.report.words import escape

FORMAT, CATALOGUE = "compare-check/1", "compare-checks/1"
LAST_CALLS = 12  # of the timeline, that a person is shown
_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "dim"}
_XML_OK = {"\t", "\n"}


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare check --json` writes: of each check that was asked for. subject: its command,
    or where it is.
    """

    format: str = FORMAT
    subject: str
    findings: list[Finding]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A check as it is listed; see `Check`."""

    id: str
    kind: Kind
    profiles: tuple[Profile, ...]
    what: str
    why: str
    mistake: str
    calls: str
    limit: str | None
    style: str | None
    needs: tuple[str, ...]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare check --list --json` writes: every check, in the order to make them pass."""

    format: str = CATALOGUE
    checks: list[Listed]


def all_checks() -> list[Check]:
    """Each once, in the order in which to make them pass."""
    return list({each.id: each for profile in PROFILES for each in of_profile(profile)}.values())


def listing() -> Listing:
    return Listing(
        checks=[
            Listed(**{name: getattr(each, name) for name in Listed.__struct_fields__})
            for each in all_checks()
        ]
    )


def show_listing(console: Console) -> None:
    """A line for each."""
    for each in all_checks():
        kind = f"{each.kind} {each.limit or each.style or ''}".rstrip()
        profiles = ", ".join(each.profiles)
        console.print(
            f"{each.id:<12} {kind:<22} {profiles:<26} {escape(each.what)}", soft_wrap=True
        )


def show_finding(finding: Finding, repeat: str, console: Console, *, known: str = "") -> None:
    """One line, and for a failure the lesson below it.

    known: why the server did not start before; the same again is said in short.
    """
    check = CHECKS[finding.id]
    colour = _COLOURS[finding.state]
    line = f"[{colour}]{finding.state:<8}[/]{finding.id:<12} {finding.kind:<6}"
    if finding.state == "skipped":
        console.print(f"{line} [dim]{escape(finding.reason)}[/]", soft_wrap=True)
        return
    if not finding.started:
        reason = "the same" if finding.actual == known else finding.actual
        console.print(f"{line} the {check.tested} did not start: {escape(reason)}", soft_wrap=True)
        return
    console.print(f"{line}{finding.took_s:6.1f} s", soft_wrap=True)
    if finding.state == "passed":
        return
    where = f" (byte {finding.at_byte:,})" if finding.at_byte is not None else ""
    rows = [
        ("check", check.what),
        ("expected", finding.expected),
        ("actual", finding.actual + where),
        ("likely", finding.likely),
        ("look up", finding.look_up or check.calls),
    ]
    rows += [("server" if number == 0 else "", row) for number, row in enumerate(finding.seen)]
    if finding.stderr:
        rows.append(("stderr", finding.stderr.splitlines()[-1]))
    for name, text in rows:
        console.print(f"    [bold]{name:<9}[/]{escape(text)}", soft_wrap=True)
    hidden = len(finding.timeline) - LAST_CALLS
    if hidden > 0:
        console.print(f"    [dim]... {hidden} calls before, all in --json[/]", soft_wrap=True)
    for step in finding.timeline[-LAST_CALLS:]:
        times = f" x {step.times}" if step.times > 1 else ""
        result = f" = {step.result}" if step.result else ""
        call = escape(f"{step.who:<10} {step.call}{result}{times}")
        console.print(f"    [dim]{step.at_s:9.6f}[/] {call}", soft_wrap=True)
    console.print(f"    again:   {escape(repeat)}", soft_wrap=True)


def is_undeclared(finding: Finding, limits: Mapping[str, object]) -> bool:
    """Whether it was skipped for a limit that nobody has declared."""
    limit = CHECKS[finding.id].limit
    return finding.state == "skipped" and limit is not None and limit not in limits


def summary(findings: Sequence[Finding], limits: Mapping[str, object]) -> Iterator[str]:
    """How many of which kind; failures by name. limits: those that were declared."""
    undeclared = [each.id for each in findings if is_undeclared(each, limits)]
    if undeclared:
        ways = dict.fromkeys(f"{CHECKS[each].limit}=..." for each in undeclared)
        ids = ", ".join(undeclared)
        yield f"skipped {ids}: no such limit was declared: --limit {', '.join(ways)}"
    failed = [each for each in findings if each.state == "failed"]
    unasked = sum(not each.started for each in failed)
    passed = sum(each.state == "passed" for each in findings)
    skipped = sum(each.state == "skipped" for each in findings)
    words = f"{passed} passed, {len(failed)} failed, {skipped} skipped"
    found = [each.id for each in failed if each.started]
    if unasked:
        found.append(f"{unasked} since the {CHECKS[failed[-1].id].tested} did not start")
    yield words + (f": {', '.join(found)}" if found else "")


def explain(check: Check) -> str:
    """All that the catalogue says of a check."""
    declared = f"LIMIT, by --limit {check.limit}=VALUE" if check.limit else check.kind
    declared += ", by --strict" if check.kind == "STRICT" else ""
    declared += f", by --style {check.style}" if check.style else ""
    return "\n".join(
        (
            f"{check.id}  ({declared}; {', '.join(check.profiles)})",
            "",
            f"What:     {check.what}",
            f"Why:      {check.why}",
            f"Mistake:  {check.mistake}",
            f"Calls:    {check.calls}",
            *([f"After:    {', '.join(check.needs)}"] if check.needs else []),
        )
    )


def junit(findings: Sequence[Finding], subject: str) -> bytes:
    """The JUnit XML that CI servers read."""
    suite = ElementTree.Element(
        "testsuite",
        name=clean(subject),
        tests=str(len(findings)),
        failures=str(sum(each.state == "failed" and each.started for each in findings)),
        errors=str(sum(not each.started for each in findings)),
        skipped=str(sum(each.state == "skipped" for each in findings)),
        time=f"{sum(each.took_s for each in findings):.3f}",
    )
    for each in findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=each.kind, name=each.id, time=f"{each.took_s:.3f}"
        )
        if each.state == "failed":
            message = clean(f"expected {each.expected}; {each.actual}")
            kind = "failure" if each.started else "error"
            failure = ElementTree.SubElement(case, kind, message=message)
            failure.text = clean(f"{CHECKS[each.id].what}\nlikely: {each.likely}\n{each.stderr}")
        elif each.state == "skipped":
            ElementTree.SubElement(case, "skipped", message=clean(each.reason))
    body: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return body


def points(finding: Finding) -> int:
    """Of a check that has passed; a limit and what is ours alone have none."""
    return 1 if finding.kind in ("MUST", "STYLE") else 0


def gradescope(findings: Sequence[Finding]) -> dict[str, Any]:
    """The results.json of a Gradescope autograder: a point for each check of points() that passed.

    What could not be checked is in it, too, so that the maximum is the same wherever and however
    it is checked; which of them those are is said above all.
    """
    tests = []
    for each in findings:
        output = CHECKS[each.id].what
        if each.state == "failed":
            output += f"\nexpected: {each.expected}\nactual: {each.actual}"
            output += f"\nlikely: {each.likely}" if each.likely else ""
        elif each.state == "skipped":
            output += f"\nnot checked: {each.reason}"
        test = {
            "name": each.id,
            "score": points(each) if each.state == "passed" else 0,
            "max_score": points(each),
            "output": output,
        }
        # It knows no third state; without one it judges by the points, and of none there is none.
        tests.append(test if each.state == "skipped" else test | {"status": each.state})
    unchecked = [each.id for each in findings if each.state == "skipped" and points(each)]
    words = f"not checked, and without their points: {', '.join(unchecked)}" if unchecked else ""
    if reasons := {each.actual for each in findings if not each.started}:
        tested = CHECKS[findings[0].id].tested
        words = "\n".join([f"the {tested} did not start:", *sorted(reasons), words]).strip()
    return {"output": words, "tests": tests} if words else {"tests": tests}


def clean(text: str) -> str:
    """Without what XML 1.0 cannot hold, and what ends no line here."""
    lines = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in _XML_OK else "?" for c in lines)
