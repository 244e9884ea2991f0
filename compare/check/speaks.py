"""What a server speaks, where nobody said: it is started, and asked."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from compare.check.bench import Bench, Subject
from compare.check.catalogue import Profile
from compare.host.launch import LaunchError

GREETING_S = 0.3  # in which who speaks first has done so
ANSWER_S = 2.0
QUESTION = b"does this come back?\n"
SEED = 7


def spoken(
    command: tuple[str, ...], cwd: str | None = None, env: Mapping[str, str] | None = None
) -> Profile | None:
    """The profile that it seems to be of; None where it is none that we know.

    TCP is tried first, and UDP where nobody listens there. Raises LaunchError.
    """
    profiles: tuple[Profile, ...] = ("tcp-echo", "udp-echo")
    for profile in profiles:
        try:
            with Bench(Subject(profile, command, cwd=cwd, env=env), SEED, ANSWER_S) as bench:
                return _by_datagrams(bench) if bench.place.scheme == "udp" else _by_stream(bench)
        except LaunchError:
            if profile == profiles[-1]:
                raise
    return None


def _by_stream(bench: Bench) -> Profile | None:
    with contextlib.suppress(OSError), socket.create_connection(bench.place[1:], ANSWER_S) as sock:
        sock.settimeout(GREETING_S)
        with contextlib.suppress(TimeoutError):
            return "chat" if sock.recv(1) else None
        sock.settimeout(ANSWER_S)
        sock.sendall(QUESTION)
        answer = b""
        while len(answer) < len(QUESTION) and (piece := sock.recv(len(QUESTION))):
            answer += piece
        return "tcp-echo" if answer == QUESTION else None
    return None


def _by_datagrams(bench: Bench) -> Profile | None:
    with contextlib.suppress(OSError):
        sock = bench.datagrams()
        sock.settimeout(ANSWER_S)
        sock.send(QUESTION)
        return "udp-echo" if sock.recv(len(QUESTION) + 1) == QUESTION else None
    return None
