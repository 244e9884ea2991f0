"""Whether a server rests, on a machine where it does not always get a core."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from compare.check import idleness
from compare.check.failure import Failed
from compare.check.postmortem import Look
from compare.host import process


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a server of which the kernel counts nothing, for it gets no core."""
    usage = process.Usage(*[0] * len(process.Usage._fields))
    monkeypatch.setattr(process, "usage", lambda pid: usage)
    server = SimpleNamespace(pid=1)
    return SimpleNamespace(server=server, patience=0.2, ending=lambda: "", look=Look)


def test_who_waits_for_a_core_all_the_time_does_not_rest(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "is_runnable", lambda pid: True)
    with pytest.raises(Failed, match="next to no CPU time"):
        idleness.must_rest(bench, "now")


def test_who_wants_none_rests(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "is_runnable", lambda pid: False)
    idleness.must_rest(bench, "now")
