"""Models that belong together in one table, and what that shows."""

from __future__ import annotations

from compare.models.loops import LOOPS
from compare.models.matrix import MODELS

# What `--set` names: what it shows, and the models.
SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "default": (
        "the five ways that most programs choose from",
        ("blocking", "threaded", "epoll", "asyncio", "uvloop"),
    ),
    "readiness": (
        "one thread that asks the kernel who can go on, in four ways, and the loops that do so",
        ("select", "poll", "epoll", "epoll-et", "coroutines", "asyncio", "uvloop"),
    ),
    "threads": (
        "threads and processes, beside one client at a time and one loop (Stevens's table)",
        (
            *("blocking", "fork", "prefork", "prefork-reuseport", "threaded", "threadpool"),
            *("epoll", "asyncio", "uvloop"),
        ),
    ),
    "asyncio": (
        "protocols and streams, on both loops",
        ("asyncio", "asyncio-streams", "uvloop", "uvloop-streams", "uvloop-workers"),
    ),
    "cores": (
        "one loop, and one for each core: in threads, in interpreters, in processes",
        ("asyncio", "asyncio-threads", "interpreters", "asyncio-workers", "uvloop-workers"),
    ),
    "loops": (
        "event loops of asyncio's kind, each under the same server",
        (
            *("asyncio", "uvloop", "rloop", *(each.name for each in LOOPS)),
            *("asyncio-streams", "uvloop-streams"),
        ),
    ),
    "frameworks": (
        "the frameworks, beside the loops that they are used instead of",
        (
            *("anyio", "gevent", "rloop", "tornado", "trio", "twisted"),
            *("asyncio-streams", "asyncio", "uvloop", "aiofastnet", "aiofastnet-uvloop"),
        ),
    ),
    "all": (
        "all that there are, but for the references",
        tuple(name for name, model in MODELS.items() if not model.reference),
    ),
}

DEFAULT_MODELS = list(SETS["default"][1])
