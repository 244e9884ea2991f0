"""What is compared: a row for each workload, a row for each model, and sets of models.

A workload is a row here and a file in `compare/driver/`.
"""

from __future__ import annotations

from typing import Any

from compare.models.loops import LOOPS
from compare.models.model import Group
from compare.models.model import Model as Model
from compare.models.model import Workload as Workload

WORKLOADS: dict[str, Workload] = {
    row.name: row
    for row in (
        Workload(
            "udp-echo",
            service="udp-echo",
            operation="one datagram there and back",
            connections="client sockets, one datagram under way on each",
            size=1000,
            smallest=16,
            largest=65507,
        ),
        Workload(
            "tcp-short",
            service="echo",
            operation="connect, send, receive the echo, close",
            connections="connections at a time, each replaced when it is done",
            size=1000,
            smallest=1,
            largest=16 * 2**20,
        ),
        Workload(
            "tcp-long",
            service="echo",
            operation="one message there and back on an open connection",
            connections="open connections, one message under way on each",
            size=1000,
            smallest=1,
            largest=16 * 2**20,
        ),
        Workload(
            "chat",
            service="chat",
            operation="one message delivered to one other member",
            connections="members, each speaking when all have heard its last line",
            size=100,
            smallest=24,
            largest=4000,
        ),
    )
}

_ONE_AT_A_TIME = "serves one connection at a time: the others are connected and wait"
_ONE_CALL = "what is said to a member within one turn of the loop goes out in one call"
_ALL_AT_ONCE = "after each wait, all datagrams that have arrived"
_YARDSTICK = "a yardstick for TCP echo only"
_APART = "members in different processes would never meet"
_NEVER_MEET = "members on different loops would never meet"
_NOTHING_TO_HAND_OUT = "without connections there is nothing to hand out"
_MET_NOBODY = dict.fromkeys(
    (
        *("chat/3", "chat/4", "chat/6", "chat/7", "chat/8", "chat/9", "chat/10", "chat/11"),
        *("chat/12", "chat/13", "chat/2-endless", "chat/3-clean", "chat/6-words"),
        "chat/7-refusal",
        *("chat/8-names", "chat/9-order", "chat/13-said", "chat/14", "chat/14-said", "chat/15"),
        "chat/16",
    ),
    "two clients are never in the room at the same time",
)
_CLOSED_LATE = "rloop 0.5 closes sockets many at a time, some time after it was told to"
_READS_ON = (
    "anyio 4.16 reads, and keeps, all that comes until its server has once waited for more: who is "
    "faster from the first moment on is not stopped"
)
_EMPTY = "asyncio up to 3.12 drops an empty datagram in sendto()"
_AS_MANY = "as many clients are served at a time as there are"


def _blocking(name: str, summary: str, **more: Any) -> Model:
    command = ("-m", "blocking", "serve", "{service}", "--model", name)
    return Model(name, summary, command, **more)


def _aionet(name: str, summary: str, *words: str, **more: Any) -> Model:
    loop = name.partition("-")[0]
    command = ("-m", *(words or ("aionet",)), "serve", "{service}", "--loop", loop)
    if not words:  # a driver on another host is one source of many datagrams, and not forged
        command += ("--udp-rate", "none")
    module = None if loop == "asyncio" else loop
    return Model(name, summary, command, group="asyncio", module=module, **more)


def _many(name: str, summary: str, unit: str = "processes", **more: Any) -> Model:
    """Several loops on one port, as many as the server has cores."""
    loop = name.partition("-")[0]
    words = ("aionet",) if unit == "processes" else ("compare.contenders.many_loops",)
    how = ("--loop", loop) if unit == "processes" else ("--unit", unit)
    return Model(
        name,
        summary,
        ("-m", *words, "serve", "{service}", *how, "--workers", "{workers}", "--udp-rate", "none"),
        group="asyncio",
        module={"uvloop": "uvloop", "interpreters": "_interpreters"}.get(loop),
        meaning=dict.fromkeys(
            ("udp-echo", "tcp-short", "tcp-long"),
            f"two {unit} on the one core that a server has as a rule, which shows what dividing "
            "costs; of several cores one for each, which shows what it gains",
        ),
        cannot={"chat": _APART if unit == "processes" else _NEVER_MEET},
        no_tls="" if unit == "processes" else "each loop serves by itself here, without TLS",
        **more,
    )


def _framework(name: str, summary: str, **more: Any) -> Model:
    command = ("-m", "compare.contenders", "serve", "{service}", "--framework", name)
    return Model(name, summary, command, group="frameworks", module=name, closes=False, **more)


def _bare(name: str, summary: str, *words: str, module: str | None = None) -> Model:
    return Model(
        name,
        f"reference: {summary}",
        ("-m", *words),
        group="references",
        module=module,
        cannot={"udp-echo": _YARDSTICK, "chat": _YARDSTICK},
        no_tls="a yardstick for plain TCP",
        closes=False,
    )


MODELS: dict[str, Model] = {
    row.name: row
    for row in (
        _blocking(
            "blocking",
            "one client at a time, from accept to its end",
            group="one at a time",
            meaning={
                "udp-echo": "one thread in recvfrom(): without connections nobody waits",
                "tcp-short": "one short connection after the other; the rest queue",
                "tcp-long": _ONE_AT_A_TIME,
                "chat": f"the negative control: it {_ONE_AT_A_TIME}, so nobody is heard",
            },
            exceptions={
                "tcp/5": "whoever comes second waits until the silent client leaves",
                "tcp/9": "the client that stalls is the one being served; the other one waits",
                **dict.fromkeys(
                    ("tcp/12-held", "tcp/25-held"),
                    "a held connection is served only when those before it have left",
                ),
                "tcp/24": "the others wait until the first client has left",
                "tcp/27": "the others wait until the first client has left",
                "life/2": "the stalled client is the one being served; there is none beside it",
                **_MET_NOBODY,
            },
            few="it serves one client at a time",
            alone=True,
        ),
        _blocking(
            "threaded",
            "a thread for each connection",
            group="threads and processes",
            meaning={
                "udp-echo": "four threads in recvfrom() on one socket",
                "chat": "outboxes filled under the room's lock, sent outside it",
            },
            threads=1,
        ),
        _blocking(
            "threadpool",
            "32 threads, and a queue of connections that wait for one",
            group="threads and processes",
            meaning={
                "tcp-long": f"{_AS_MANY} threads",
                "chat": f"{_AS_MANY} threads, so that no more can be in the room",
            },
            cannot={"udp-echo": f"{_NOTHING_TO_HAND_OUT}: it would be as threaded"},
            exceptions={
                **dict.fromkeys(
                    ("tcp/12-held", "tcp/25-held"),
                    "as many connections are held as there are threads",
                ),
                "chat/9-order": "it has fewer threads than there are members",
            },
            few="it has 32 threads, and each serves one client at a time",
        ),
        _blocking(
            "fork",
            "a process for each connection, forked when it is accepted",
            group="threads and processes",
            meaning={"tcp-long": "at most 1,024 processes at a time"},
            threads=1,
            cannot={"udp-echo": _NOTHING_TO_HAND_OUT, "chat": _APART},
            exceptions={
                "tcp/25-held": "each process looks at its clock some eight times a second, which "
                "are 0.4 of a core with 1,024 of them",
            },
        ),
        _blocking(
            "prefork",
            "eight processes that accept on one socket, each serving one client at a time",
            group="threads and processes",
            meaning={
                "udp-echo": "eight processes in recvfrom() on one socket",
                "tcp-long": f"{_AS_MANY} processes",
            },
            cannot={"chat": _APART},
            exceptions=dict.fromkeys(
                ("tcp/12-held", "tcp/25-held"),
                "as many connections are held as there are processes",
            ),
            few="it has eight processes, and each serves one client at a time",
        ),
        _blocking(
            "prefork-reuseport",
            "the same with a socket each, among which the kernel deals out (SO_REUSEPORT)",
            group="threads and processes",
            meaning={
                "udp-echo": "eight processes in recvfrom(), each on a socket of its own",
                "tcp-long": f"at most {_AS_MANY} processes; some are dealt several, some none",
            },
            cannot={"chat": _APART},
            exceptions={
                **dict.fromkeys(
                    ("tcp/5", "tcp/9", "tcp/12-held", "tcp/24", "tcp/25-held", "tcp/27", "life/2"),
                    "who is dealt to a process that is busy waits for it, though others be free",
                ),
                "life/6": "who shares a port (SO_REUSEPORT) shares it with a second instance, too",
            },
            few="it has eight processes, each serving one client at a time, and deals by a hash",
        ),
        _blocking(
            "select",
            "one thread, select(2), non-blocking sockets",
            group="readiness",
            meaning={"udp-echo": _ALL_AT_ONCE, "chat": _ONE_CALL},
            exceptions=dict.fromkeys(
                ("tcp/12-held", "tcp/25-held"), "select() knows no descriptor above 1,023"
            ),
            descriptors=1024,
        ),
        _blocking(
            "poll",
            "one thread, poll(2), non-blocking sockets",
            group="readiness",
            meaning={"udp-echo": _ALL_AT_ONCE, "chat": _ONE_CALL},
        ),
        _blocking(
            "epoll",
            "one thread, level-triggered epoll, non-blocking sockets",
            group="readiness",
            meaning={"udp-echo": _ALL_AT_ONCE, "chat": _ONE_CALL},
        ),
        _blocking(
            "epoll-et",
            "the same, edge-triggered: what changes is told once, and followed to its end",
            group="readiness",
            meaning={"udp-echo": _ALL_AT_ONCE, "chat": _ONE_CALL},
        ),
        _blocking(
            "coroutines",
            "a coroutine for each connection, on an event loop of one's own over epoll",
            group="readiness",
            meaning={"chat": _ONE_CALL},
            cannot={"udp-echo": _NOTHING_TO_HAND_OUT},
        ),
        _aionet(
            "asyncio",
            "asyncio.Protocol on asyncio's own loop",
            meaning={
                "udp-echo": "a reader on the loop, up to 64 datagrams in a turn",
                "chat": _ONE_CALL,
            },
        ),
        _aionet(
            "uvloop",
            "the same code on uvloop (libuv)",
            meaning={
                "udp-echo": "a reader on libuv, up to 64 datagrams in a turn",
                "chat": _ONE_CALL,
            },
        ),
        _aionet(
            "asyncio-streams",
            "asyncio's streams, a coroutine for each connection, on its own loop",
            "compare.contenders.asyncio_streams",
            cannot={"udp-echo": "asyncio has no streams for datagrams"},
        ),
        _aionet(
            "uvloop-streams",
            "the same code on uvloop",
            "compare.contenders.asyncio_streams",
            cannot={"udp-echo": "asyncio has no streams for datagrams"},
        ),
        _many("uvloop-workers", "several processes of uvloop on one port (SO_REUSEPORT)"),
        _many("asyncio-workers", "the same of asyncio's own loop"),
        _many(
            "asyncio-threads",
            "several threads of one process, each with a loop of asyncio's own (SO_REUSEPORT)",
            unit="threads",
        ),
        _many(
            "interpreters",
            "the same, each in an interpreter of its own with a lock of its own (PEP 734)",
            unit="interpreters",
            since=(3, 13),
        ),
        *LOOPS,
        _framework(
            "anyio",
            "a task for each connection, on asyncio",
            no_tls="it is served here without TLS",
            exceptions={
                **dict.fromkeys(("tcp/8", "tcp/11"), _READS_ON),
                **dict.fromkeys(("udp/1", "udp/7"), _EMPTY),
            },
        ),
        _framework("gevent", "a greenlet for each connection (libev)"),
        _framework(
            "rloop",
            "an asyncio.Protocol for each connection, on a loop in Rust",
            cannot={"tcp-short": _CLOSED_LATE},
            no_tls="rloop 0.5 has no TLS: its create_server(ssl=...) is not implemented",
            exceptions={
                **dict.fromkeys(
                    (
                        *("tcp/6", "tcp/7", "tcp/12", "tcp/13", "tcp/17"),
                        *("chat/6", "chat/8", "chat/12", "chat/14", "chat/6-words", "chat/8-names"),
                    ),
                    _CLOSED_LATE,
                ),
                **dict.fromkeys(("udp/1", "udp/7"), "it does not answer an empty datagram"),
                "tcp/8": "rloop 0.5 reads on until the kernel has no more, also when told not to: "
                "who sends as fast as it reads is not stopped",
                "tcp/26": "rloop 0.5 listens with a backlog of its own, 100",
            },
        ),
        _framework(
            "tornado",
            "a coroutine for each connection, on IOStream over asyncio",
            cannot={"udp-echo": "Tornado has nothing for datagrams"},
        ),
        _framework("trio", "a task for each connection"),
        _framework(
            "twisted",
            "a Protocol for each connection, on its own reactor (epoll)",
            no_tls="it takes pyOpenSSL for TLS, and is served here without",
        ),
        _bare(
            "bare-epoll",
            "the shortest epoll echo loop, without any protection",
            "compare.contenders.bare_epoll",
        ),
        _bare(
            "bare-asyncio",
            "the shortest asyncio.Protocol echo",
            *("compare.contenders.bare_protocol", "asyncio"),
        ),
        _bare(
            "bare-uvloop",
            "the same protocol on uvloop",
            *("compare.contenders.bare_protocol", "uvloop"),
            module="uvloop",
        ),
    )
}


def group_of(name: str) -> Group:
    """Of a model as a result names it: under another Python, or beside the same of another run."""
    model = MODELS.get(name.partition(" ")[0].partition("@")[0])
    return model.group if model else "your own"
