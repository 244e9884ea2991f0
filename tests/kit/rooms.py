"""The rooms of compare/, and which of them each may import: docs/architecture.md tells why."""

from __future__ import annotations

BELOW: dict[str, set[str]] = {
    "models": set(),
    "contract": set(),
    "host": {"models"},
    "driver": {"contract", "host"},
    "check": {"host", "models"},
    "see": {"check", "host"},
    "results": {"contract", "host", "models"},
    "measure": {"results", "check", "contract", "host", "models"},
}
BELOW["selftest"] = {"measure", *BELOW["measure"]}
BELOW["cluster"] = {"measure", "driver", *BELOW["measure"]}
BELOW["report"] = {"see", "selftest", "cluster", *BELOW["cluster"]}
BELOW["learn"] = {"report", "check", "host", "models"}
BELOW["classroom"] = {"learn", "results", *BELOW["learn"]}
BELOW["commands"] = {"classroom", "learn", "report", *BELOW["report"]}
