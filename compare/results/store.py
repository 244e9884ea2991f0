"""The history: every run in one SQLite file, cell by cell as it is measured."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
import sqlite3
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import psutil

from compare.contract.histogram import merge
from compare.models.unreadable import UNREADABLE
from compare.results.records import FORMAT, Cell, Run

APPLICATION = 0x61696F6E  # PRAGMA application_id: what kind of SQLite file this is
BUSY_S = 10.0  # that another run may be writing
AGAIN_S = 0.01  # between two tries of what SQLite does not wait for
MOST_DIGITS = 18  # of a run's number; SQLite's go up to 2**63
# What brings a file from each version to the next; user_version says which one it is.
_STEPS = (
    (
        """CREATE TABLE run (
            id INTEGER PRIMARY KEY,
            token TEXT NOT NULL UNIQUE,
            format TEXT NOT NULL,
            started TEXT NOT NULL,
            command TEXT NOT NULL,
            version TEXT NOT NULL,
            pid INTEGER NOT NULL,
            pid_started REAL NOT NULL,
            interrupted INTEGER NOT NULL,
            record BLOB NOT NULL
        )""",
        """CREATE TABLE part (
            run INTEGER NOT NULL REFERENCES run,
            place INTEGER NOT NULL,
            record BLOB NOT NULL,
            histogram BLOB,
            PRIMARY KEY (run, place)
        )""",
    ),
)
VERSION = len(_STEPS)
_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")


class StoreError(Exception):
    """The history cannot be used; the message is for a person."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without its cells. running: it is being measured now.

    version: of the program that wrote it. parts: cells.
    """

    id: int
    format: str
    started: str
    command: str
    version: str
    interrupted: bool
    running: bool
    parts: int


def default_path() -> Path:
    """In the user's data folder (XDG_DATA_HOME)."""
    return Path(platformdirs.user_data_dir("aionet-compare")) / "history.sqlite3"


class Store:
    """An open history file, made where there is none. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Used by one thread, but closed by whichever collects the garbage.
            self._database = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._database.close)  # or CPython 3.13 warns
            with self._transaction():
                self._bring_up_to_date()
            # One writer and any readers at a time; a commit outlives the death of the process.
            self._write_ahead()
            self._database.execute("PRAGMA synchronous = NORMAL")

    def _write_ahead(self) -> None:
        """From one journal to the other SQLite does not wait for who else has the file open."""
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(AGAIN_S)

    def _bring_up_to_date(self) -> None:
        found = self._number("PRAGMA user_version")
        is_ours = self._number("PRAGMA application_id") == APPLICATION
        if not is_ours and (found or self._number("SELECT count(*) FROM sqlite_master")):
            raise sqlite3.DatabaseError("it is some other program's")
        if found > VERSION:
            raise StoreError(
                f"{self.path} was written by a newer version of this program (its format is "
                f"{found}, this one knows {VERSION}): upgrade, or choose another by --store"
            )
        for statements in _STEPS[found:]:
            for statement in statements:
                self._database.execute(statement)
        self._database.execute(f"PRAGMA application_id = {APPLICATION}")
        self._database.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _number(self, query: str) -> int:
        (number,) = self._database.execute(query).fetchone()
        return int(number)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # of its own words, too
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"cannot {what} {self.path}: {reason}") from None

    def close(self) -> None:
        self._database.close()

    # In.

    def recorder(self, command: list[str]) -> Callable[[Run], int]:
        """What keeps one run: called again and again with all of it, it writes what is new.

        It returns the run's ID. Raises StoreError.
        """
        known: dict[int, tuple[bytes, bytes | None]] = {}
        token = uuid.uuid4().hex

        def keep(result: Run) -> int:
            with self._told("write"), self._transaction():
                number = self._note(token, result, command)
                written = {place: _split(part) for place, part in enumerate(result.cells)}
                self._database.executemany(
                    "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)",
                    [
                        (number, place, *row)
                        for place, row in written.items()
                        if known.get(place) != row
                    ],
                )
                self._database.execute(
                    "DELETE FROM part WHERE run = ? AND place >= ?", (number, len(written))
                )
            known.clear()
            known.update(written)
            return number

        return keep

    def _note(self, token: str, result: Run, command: list[str]) -> int:
        ours = psutil.Process()
        (number,) = self._database.execute(
            "INSERT INTO run (token, format, started, command, version, pid, pid_started, "
            "interrupted, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token) "
            "DO UPDATE SET interrupted = excluded.interrupted, record = excluded.record "
            "RETURNING id",
            (
                *(token, result.format, result.started, shlex.join(command)),
                *(version("aionet-compare"), ours.pid, ours.create_time(), result.interrupted),
                msgspec.json.encode(msgspec.structs.replace(result, cells=[])),
            ),
        ).fetchone()
        return int(number)

    # Out.

    def entries(self) -> list[Entry]:
        """All runs, the first one first."""
        with self._told("read"):
            rows = self._database.execute(
                "SELECT id, format, started, command, version, interrupted, pid, pid_started, "
                "(SELECT count(*) FROM part WHERE run = run.id) FROM run ORDER BY id"
            ).fetchall()
        try:
            return [_entry(row) for row in rows]
        except (TypeError, ValueError, msgspec.ValidationError) as error:
            raise StoreError(f"cannot read {self.path}: it is damaged ({error})") from None

    def load(self, number: int) -> Run:
        """The run with that ID."""
        with self._told("read"):
            row = self._database.execute(
                "SELECT format, record FROM run WHERE id = ?", (number,)
            ).fetchone()
            parts = self._database.execute(
                "SELECT record, histogram FROM part WHERE run = ? ORDER BY place", (number,)
            ).fetchall()
        if row is None:
            raise StoreError(f"there is no run {number} in {self.path}: see compare history")
        if row[0] != FORMAT:
            raise StoreError(f"run {number} has the format {row[0]}, of another version")
        try:
            result = msgspec.json.decode(row[1], type=Run)
            return _sound(msgspec.structs.replace(result, cells=[_join(*each) for each in parts]))
        except (*UNREADABLE, TypeError) as error:
            raise StoreError(f"run {number} cannot be read: {error}") from None

    def find(self, name: str) -> int:
        """The ID of a run by itself, or of `latest`, or of the one so many before: `latest~2`."""
        if name.isascii() and name.isdigit():
            if len(name) > MOST_DIGITS:
                raise StoreError(f"there is no run {name[:MOST_DIGITS]}...: see compare history")
            return int(name)
        match = _LATEST.fullmatch(name)
        if match is None:
            raise StoreError(
                f"{name[:60]!r} is no run: give its number in compare history, latest, latest~1, "
                "or a JSON file"
            )
        entries = [each for each in self.entries() if each.format == FORMAT]
        # One that is being measured has no answer yet.
        numbers = [each.id for each in entries if not each.running]
        back = int(match[1] or 0)
        if back >= len(numbers):
            under_way = len(entries) - len(numbers)
            beside = f", and {under_way} under way" if under_way else ""
            raise StoreError(f"{self.path} has {len(numbers)} runs{beside}, so there is no {name}")
        return numbers[-1 - back]


def read(name: str, store: Callable[[], Store]) -> Run:
    """A run by its name in the history, or from a JSON file. Raises StoreError."""
    if not is_kept(name) and is_file(name):
        return _from_file(Path(name))
    history = store()
    return history.load(history.find(name))


def is_kept(name: str) -> bool:
    """Whether that is how a run of the history is called, whatever files there are: ./3 is one."""
    return name.isascii() and (name.isdigit() or _LATEST.fullmatch(name) is not None)


def is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # a name that is too long for one
        return False


class _Format(msgspec.Struct, frozen=True):
    format: str


def _from_file(path: Path) -> Run:
    try:
        text = path.read_bytes()
        named = msgspec.json.decode(text, type=_Format).format
        if named != FORMAT:
            raise msgspec.ValidationError(f"its format is {named[:40]!r}")
        return _sound(msgspec.json.decode(text, type=Run))
    except (OSError, *UNREADABLE) as error:
        raise StoreError(f"{path} is not a run that compare wrote: {error}") from None


def _sound(run: Run) -> Run:
    """The same, if its histograms are some. Raises msgspec.ValidationError."""
    for cell in run.cells:
        if cell.latency_hdr is not None:
            try:
                merge([cell.latency_hdr])
            except Exception as error:  # whatever hdrh and zlib think of it
                raise msgspec.ValidationError(
                    f"the latencies of {cell.model[:40]!r} are no histogram: {error}"
                ) from None
    return run


def command_line() -> list[str]:
    """What was typed, to be typed again; what is not UTF-8 in it, as a shell's $'...' has it."""
    words = (os.fsencode(each).decode(errors="backslashreplace") for each in sys.argv[1:])
    return ["compare", *words]


def readable(word: str) -> str:
    """Text that may name a file, whose name may be any bytes, as it can be kept.

    Not by os.fsencode(), which has no more letters than the locale: a server says others, too.
    """
    return word.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _entry(row: Sequence[Any]) -> Entry:
    """Raises TypeError, ValueError and msgspec.ValidationError for what we never wrote."""
    names = ("id", "format", "started", "command", "version")
    return msgspec.convert(
        {
            **dict(zip(names, row, strict=False)),
            "interrupted": bool(row[5]),
            "running": bool(row[5]) and _lives(row[6], row[7]),
            "parts": row[8],
        },
        Entry,
    )


def _lives(pid: int, started: float) -> bool:
    with contextlib.suppress(psutil.Error):
        return abs(psutil.Process(pid).create_time() - started) < 1
    return False


# A histogram is most of a cell, and as a BLOB takes three quarters of its text.


def _split(cell: Cell) -> tuple[bytes, bytes | None]:
    """Its record without the histogram, and that."""
    if cell.latency_hdr is None:
        return msgspec.json.encode(cell), None
    bare = msgspec.structs.replace(cell, latency_hdr=None)
    return msgspec.json.encode(bare), base64.b64decode(cell.latency_hdr)


def _join(record: bytes, histogram: bytes | None) -> Cell:
    cell = msgspec.json.decode(record, type=Cell)
    if histogram is None:
        return cell
    text = base64.b64encode(histogram).decode("ascii")
    return msgspec.structs.replace(cell, latency_hdr=text)
