"""The checks by their IDs: what each asks, why, and the mistake it usually finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["MUST", "STYLE", "STRICT", "LIMIT"]
Profile = Literal["tcp-echo", "udp-echo", "chat", "frames", "later", "client", "udp-client"]

SMOKE = "life/0"  # comes before all others

SERVERS: tuple[Profile, ...] = ("tcp-echo", "udp-echo", "chat", "frames", "later")
CLIENTS: tuple[Profile, ...] = ("client", "udp-client")  # whose server and keyboard we are
PROFILES = (*SERVERS, *CLIENTS)


@dataclass(frozen=True)
class Check:
    """One row of the catalogue.

    what: what we do, as a client or as the server of one, and what must happen. why: what goes
    wrong in real life otherwise. mistake: the usual one, and how to mend it. calls: of what is
    tested, that matter.
    limit: for LIMIT, the name under which it is declared. style: for STYLE, the one that must be
    asked for. STRICT is what our own servers promise
    beyond what their protocol asks of everybody's. together: several clients must be
    served at the same time. inside: the processes of the server must be known. content: it asks
    what comes back, so that other bytes are its own business. needs: the checks without which this
    one makes no sense, as it would only find again what they have found.
    """

    id: str
    kind: Kind
    profiles: tuple[Profile, ...]
    what: str
    why: str
    mistake: str
    calls: str
    run: Callable[[Any], None]
    limit: str | None = None
    together: bool = False
    inside: bool = False
    content: bool = False
    style: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def tested(self) -> str:
        """What it is made of, in a word."""
        return "client" if self.profiles[0] in CLIENTS else "server"


CHECKS: dict[str, Check] = {}


def check(
    id: str,  # noqa: A002
    *profiles: Profile,
    what: str,
    why: str,
    mistake: str,
    calls: str,
    limit: str | None = None,
    together: bool = False,
    inside: bool = False,
    content: bool = False,
    strict: bool = False,
    needs: str = "",
    style: str | None = None,
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Enter a function into the catalogue; it raises Failed, or passes by returning.

    needs: IDs, parted by blanks; of SMOKE it need not be said.
    """

    def enter(run: Callable[[Any], None]) -> Callable[[Any], None]:
        kind: Kind = "LIMIT" if limit else "STRICT" if strict else "STYLE" if style else "MUST"
        first = () if id == SMOKE else (SMOKE, *needs.split())
        CHECKS[id] = Check(
            *(id, kind, profiles, what, why, mistake, calls, run),
            *(limit, together, inside, content, style, first),
        )
        return run

    return enter


def of_profile(profile: Profile) -> list[Check]:
    """In the order in which to make them pass: by kind and number, each after those it needs."""
    ordered: dict[str, Check] = {}

    def put(each: Check) -> None:
        for name in each.needs:
            if profile in CHECKS[name].profiles:
                put(CHECKS[name])
        ordered.setdefault(each.id, each)

    for each in sorted(CHECKS.values(), key=_place):
        if profile in each.profiles:
            put(each)
    return list(ordered.values())


def _place(each: Check) -> tuple[int, int, int, str]:
    """By kind; what is said, what TCP does to it, life and death; and then by number."""
    group, _, number = each.id.partition("/")
    first, _, variant = number.partition("-")
    late = ("tcp", "life").index(group) + 1 if group in ("tcp", "life") else 0
    return get_args(Kind).index(each.kind), late, int(first), variant
