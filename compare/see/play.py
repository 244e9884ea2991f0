"""Play a scene: with a server that is started for it, or with both ends in our own hands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from compare.check.bench import PATIENCE_S, Subject, free_port
from compare.check.runner import SAY_WHERE, SLOWEST
from compare.check.slowness import slowness
from compare.host.launch import LaunchError, ProtocolError, Server, SilentError
from compare.host.limits import raise_descriptors
from compare.host.place import Place
from compare.see import states
from compare.see.records import Row, Seen
from compare.see.scenes import SCENES
from compare.see.stage import BlindError, Stage
from compare.see.watch import Watcher

END_S = 1.0  # after which one that listens no more can be asked how it ended, if it did

Told = Callable[[Row], None]


class Unasked(Place):
    """Where a server is looked for in the kernel's tables only: whoever connects may be the one
    client that it serves, and would be seen.
    """

    __slots__ = ()

    def is_taken(self) -> bool:
        return self.is_bound()


class DatagramsError(Exception):
    """It serves UDP, which has no connections; the message says so."""


def with_server(subject: Subject, name: str, told: Told) -> Seen:
    """Start the server, and play the scene of that name: what was seen, also if interrupted.

    Raises LaunchError where it does not come up, BlindError and DatagramsError where it cannot be
    seen, and OSError for what this machine lacks.
    """
    raise_descriptors()
    wanted = Unasked("tcp", "127.0.0.1", free_port("tcp"))
    server = Server(
        subject.argv(wanted),
        (),
        place=wanted if subject.takes_a_port else None,
        ready_timeout_s=subject.ready_timeout_s,
    )
    with _in_our_words(subject), server:
        if server.scheme == "udp":
            raise DatagramsError(_datagrams(server.port))
        patience_s = PATIENCE_S * min(SLOWEST, slowness())
        rows: list[Row] = []
        watcher = Watcher(server.host, server.port, server.pid, _both(rows, told))
        stage = Stage(server, watcher, patience_s)
        interrupted = False
        try:
            with stage:
                SCENES[name].play(stage)
        except KeyboardInterrupt:
            interrupted = True
        within_s = END_S if watcher.queue is None else 0.0
        if not stage.told_to_end and (ending := server.died(within_s)):
            stage.remarks.append(f"the server has ended: {ending}")
        return _seen(
            rows,
            watcher,
            scene=name,
            what=SCENES[name].what,
            command=list(subject.command),
            interrupted=interrupted,
            remarks=stage.remarks,
        )


def all_states(told: Told) -> Seen:
    """Every state of TCP, by a listener and clients of our own. Raises OSError."""
    rows: list[Row] = []
    interrupted = False
    with states.listener() as listener:
        host, port = listener.getsockname()
        watcher = Watcher(host, port, None, _both(rows, told))
        try:
            with states.Play(listener, watcher) as play:
                play.all_states()
        except KeyboardInterrupt:
            interrupted = True
    return _seen(
        rows, watcher, scene="states", what=states.WHAT, command=[], interrupted=interrupted
    )


def _both(rows: list[Row], told: Told) -> Told:
    def add(row: Row) -> None:
        rows.append(row)
        told(row)

    return add


def _seen(rows: list[Row], watcher: Watcher, **more: Any) -> Seen:
    return Seen(
        host=watcher.server.host,
        port=watcher.server.port,
        kernel=f"Linux {os.uname().release}",
        rows=rows,
        left=watcher.left(),
        samples=watcher.samples,
        sample_us=watcher.sample_us,
        **more,
    )


@contextlib.contextmanager
def _in_our_words(subject: Subject) -> Iterator[None]:
    """Why a server does not start, and what to do about it here."""
    try:
        yield
    except ProtocolError:
        raise DatagramsError(_datagrams(None)) from None
    except SilentError as error:
        more = "" if subject.takes_a_port else SAY_WHERE
        longer = "; one that needs longer takes --ready-timeout"
        raise LaunchError(f"{error}{more}{longer}") from None


def _datagrams(port: int | None) -> str:
    where = "" if port is None else f" (port {port})"
    return f"it serves UDP{where}, which has no connections and so no states to see; see is for TCP"


__all__ = ["BlindError", "DatagramsError", "LaunchError", "all_states", "with_server"]
