"""The rooms of compare/, and which of them each may import: docs/architecture.md tells why."""

from __future__ import annotations

BELOW: dict[str, set[str]] = {
    "models": set(),
    "host": {"models"},
    "driver": {"host"},
    "check": {"host"},
    "results": {"driver", "host", "models"},
    "measure": {"results", "check", "driver", "host", "models"},
}
BELOW["selftest"] = BELOW["cluster"] = {"measure", *BELOW["measure"]}
BELOW["report"] = {"selftest", "cluster", *BELOW["selftest"]}
BELOW["commands"] = {"report", *BELOW["report"]}
