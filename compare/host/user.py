"""Another user of this machine, as whom a program runs that we start and do not trust."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROCESSES = 1200  # of that user, threads included: a thread for each of 1,024 clients is allowed
LARGEST = 256 * 1024 * 1024  # bytes of a file that it writes
WITHIN_S = 10.0  # for what takes milliseconds
AT_ONCE = 250  # paths on a command line
_FIRST = """n=0
for each; do
    if [ -r "$each" ] || { [ -d "$each" ] && [ -x "$each" ]; }; then echo $n; exit; fi
    n=$((n + 1))
done"""
_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_CAPABILITY_VERSION_3 = 0x20080522  # capget(2)
_libc = ctypes.CDLL(None, use_errno=True)


class UserError(Exception):
    """One cannot become that user; the message is a line that says why, and what to do."""


@dataclass(frozen=True)
class User:
    """By its numbers; it has no other groups, and so many processes and threads at most."""

    name: str
    uid: int
    gid: int
    processes: int

    @classmethod
    def find(cls, name: str) -> User:
        """Raises UserError."""
        try:
            row = pwd.getpwnam(name)
        except KeyError:
            raise UserError(f"there is no user {name!r} here: useradd -r {name}") from None
        if row.pw_uid == 0:
            raise UserError(f"{name} may do everything: name a user without rights")
        if os.geteuid() != 0:
            raise UserError(f"only root may run what is another user's, {name}'s: use sudo")
        return cls(name, row.pw_uid, row.pw_gid, PROCESSES)

    def options(self) -> dict[str, Any]:
        """Of subprocess."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}

    def can(self, right: str, path: str | Path) -> bool:
        """Whether that user may read (r), write (w) or run (x) it, as test(1) has it."""
        return self._run("test", f"-{right}", str(path)).returncode == 0

    def first_open(self, paths: Sequence[Path]) -> Path | None:
        """The first of them that this user may read, or of folders, go into."""
        for at in range(0, len(paths), AT_ONCE):
            some = paths[at : at + AT_ONCE]
            if number := self._run("sh", "-c", _FIRST, "sh", *map(str, some)).stdout:
                return some[int(number)]
        return None

    def _run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, **self.options()}
        return subprocess.run(words, check=False, cwd="/", timeout=WITHIN_S, **options)

    def look_as(self) -> None:
        """From now on this thread, and those that it starts, may look into that user's processes.

        Root in a container may not: that takes CAP_SYS_PTRACE, or that user's own rights to files.
        Those that go with our own are kept beside them; nothing else changes, and neither does
        what that user may do to us.
        """
        _libc.setfsgid(self.gid)
        _libc.setfsuid(self.uid)
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice
        if _libc.capget(header, data) == 0:
            low, high = struct.iter_unpack("III", data.raw)
            again = (struct.pack("III", each[1], each[1], each[2]) for each in (low, high))
            _libc.capset(header, b"".join(again))

    def bind(self) -> None:
        """In the child, before it becomes another program: what it may take of this machine.

        No program that it starts gives it more rights, as sudo and crontab would.
        """
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for what, most in (
            (resource.RLIMIT_NPROC, self.processes),
            (resource.RLIMIT_FSIZE, LARGEST),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(what)[1]
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (least, least))
