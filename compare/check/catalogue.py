"""The checks by their IDs: what each asks, why, and the mistake it usually finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["MUST", "STRICT", "LIMIT"]
Profile = Literal["tcp-echo", "udp-echo", "chat", "client", "udp-client"]

SERVERS: tuple[Profile, ...] = ("tcp-echo", "udp-echo", "chat")
CLIENTS: tuple[Profile, ...] = ("client", "udp-client")  # whose server and keyboard we are
PROFILES = (*SERVERS, *CLIENTS)


@dataclass(frozen=True)
class Check:
    """One row of the catalogue.

    what: what we do, as a client or as the server of one, and what must happen. why: what goes
    wrong in real life otherwise. mistake: the usual one, and how to mend it. calls: of what is
    tested, that matter.
    limit: for LIMIT, the name under which it is declared. STRICT is what our own servers promise
    beyond what their protocol asks of everybody's. together: several clients must be
    served at the same time. inside: the processes of the server must be known. content: it asks
    what comes back, so that other bytes are its own business.
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
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Enter a function into the catalogue; it raises Failed, or passes by returning."""

    def enter(run: Callable[[Any], None]) -> Callable[[Any], None]:
        kind: Kind = "LIMIT" if limit else "STRICT" if strict else "MUST"
        CHECKS[id] = Check(
            id, kind, profiles, what, why, mistake, calls, run, limit, together, inside, content
        )
        return run

    return enter


def of_profile(profile: Profile) -> list[Check]:
    """In the order in which to make them pass."""
    return sorted((each for each in CHECKS.values() if profile in each.profiles), key=_place)


def _place(each: Check) -> tuple[int, bool, int, str]:
    """MUST, STRICT, LIMIT; what clients do before life and death; and then by number."""
    group, _, number = each.id.partition("/")
    first, _, variant = number.partition("-")
    return get_args(Kind).index(each.kind), group == "life", int(first), variant
