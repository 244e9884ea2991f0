"""Makes the checks of one program: `python -m compare.classroom.worker`, a job on its stdin.

A process of its own, so that what was handed in can end this one and not the grading. It says on
its stdout, a line for each, that the program is made, and what each check has found.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import math
import os
import resource
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from compare.check import variant
from compare.check.bench import Subject
from compare.check.catalogue import Profile
from compare.check.runner import Finding, run
from compare.classroom.offspring import end_all, stop_all
from compare.classroom.private import hide, needed
from compare.host.launch import start_all_as
from compare.host.user import User
from compare.learn import program
from compare.learn.lesson import Tongue

LONGEST = 4000  # characters of what a compiler says
WORTH = "500"  # proc(5): of -1000 to 1000, where 1000 goes first
BUILD_BYTES = 2 * 1024**3  # of memory, for a compiler
_PR_SET_DUMPABLE = 4  # prctl(2)
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked. source: a copy, in `place`, which is the user's, if there is one.

    failed: checks that were made before, so that those that need them are not asked. python: that
    runs it, if it is Python. build_s: that a compiler may take.
    private: what all may write to is to be its own, and what is hidden is not to be seen.
    """

    profile: Profile
    tongue: Tongue
    source: str
    place: str
    ids: list[str]
    failed: list[str]
    seed: int
    limits: dict[str, float]
    style: str | None
    variant: str
    python: list[str]
    build_s: float
    user: User | None
    private: bool = False
    hidden: list[str] = []


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A line: that it is made, or why it cannot be; or a finding."""

    unbuilt: str = ""
    finding: Finding | None = None


def environment(place: str) -> dict[str, str]:
    """What a program of somebody else's may know of ours."""
    kept = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    found["PATH"] = path_without(Path(sys.prefix), found.get("PATH", os.defpath))
    return found | {"HOME": place, "TMPDIR": place}


def path_without(prefix: Path, path: str) -> str:
    """Without the environment that this package is installed in, if it has one of its own."""
    own = {prefix, prefix.resolve()} if sys.prefix != sys.base_prefix else set()
    found = [each for each in path.split(os.pathsep) if Path(each).is_absolute()]
    return os.pathsep.join(
        each for each in found if not any(Path(each).resolve().is_relative_to(one) for one in own)
    )


def _goes_first() -> None:
    """Where memory ends we are ended with what we have started, and who grades is not."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(WORTH, encoding="ascii")


def _is_nobodys_to_read() -> None:
    """Another process of the same user can then not look into this one, unless it is root's."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def _loopback_up() -> None:
    """In a network of our own it is down; elsewhere it is up, or we may not."""
    with contextlib.suppress(OSError), socket.socket() as sock:
        name = b"lo".ljust(16, b"\0")
        asked = fcntl.ioctl(sock, _SIOCGIFFLAGS, name + bytes(16))
        flags = struct.unpack_from("h", asked, 16)[0] | _IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, name + struct.pack("h", flags) + bytes(14))


def _without_terminal() -> None:
    """Who has ours could type there, for us."""
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
        os.close(terminal)


def _command(job: Job) -> tuple[str, ...]:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (BUILD_BYTES, BUILD_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(job.build_s),) * 2)
        if job.user:
            job.user.bind()

    options: dict[str, Any] = {"cwd": job.place, "timeout": job.build_s, "preexec_fn": prepare}
    options |= {"stdin": subprocess.DEVNULL, "env": environment(job.place)}
    options |= job.user.options() if job.user else {}
    words = program.command(job.tongue, Path(job.source), Path(job.place), **options)
    return (*job.python, *words[1:]) if job.tongue == "python" else words


def _said(job: Job) -> Iterator[Said]:
    try:
        command = _command(job)
    except program.BuildError as error:
        yield Said(unbuilt=str(error)[:LONGEST])
        return
    except subprocess.TimeoutExpired:
        yield Said(unbuilt=f"the compiler took longer than {job.build_s:g} s")
        return
    except OSError as error:
        yield Said(unbuilt=f"cannot start the compiler: {error.strerror}")
        return
    yield Said()
    subject = Subject(
        job.profile,
        command,
        limits=job.limits,
        cwd=job.place,
        env=environment(job.place),
        language=job.tongue,
        style=job.style,
        variant=variant.read(job.variant),
        obeys=True,
        strict=True,  # what a course asks may be a rule of ours
    )
    for finding in run(subject, job.ids, job.seed, lambda text: None, failed=job.failed):
        stop_all()  # who left with an environment of its own, and is ours now
        end_all()
        yield Said(finding=finding)


def main() -> None:
    _goes_first()
    _is_nobodys_to_read()
    _without_terminal()
    _loopback_up()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    if job.private:
        hide([Path(job.place), *needed(job.python)], [Path(each) for each in job.hidden])
    if job.user:
        job.user.look_as()
        start_all_as(job.user)
    known = environment(job.place)
    os.environ.clear()  # of which all that is started would have a copy
    os.environ.update(known)
    for said in _said(job):
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
