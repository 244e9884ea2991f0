"""A client under test: a process with a keyboard that we type on, and a screen that we read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

from compare.check.wire import wait_until
from compare.host.daemon import daemon
from compare.host.launch import (
    TAIL_BYTES,
    UnableError,
    and_stderr,
    ending_of,
    kill,
    start,
    why_not_started,
)
from compare.host.tail import last

Keyboard = Literal["pipe", "terminal"]

READ_BYTES = 65536
KEPT_BYTES = 1024 * 1024  # more than any check waits for
LOUD_BYTES = 65536  # of who writes more, we read with a nap between
NAP_S = 0.01
CTRL_D = b"\x04"


class Output:
    """All that comes from a pipe or a terminal, which is ours from now on; read on at all times."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._came = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        daemon(self._read_on)

    def __len__(self) -> int:
        return len(self._came)

    def since(self, mark: int) -> bytes:
        with self._changed:
            return bytes(self._came[mark:])

    def wait(self, condition: Callable[[bytes], object], within: float, mark: int = 0) -> bool:
        """Whether what came after `mark` meets the condition, now or within so long."""
        with self._changed:
            return bool(
                self._changed.wait_for(
                    lambda: condition(bytes(self._came[mark:])) or self._ended, within
                )
                and condition(bytes(self._came[mark:]))
            )

    def wait_for_end(self, within: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended, within)

    def _read_on(self) -> None:
        while piece := self._read():
            with self._changed:
                if len(self._came) < KEPT_BYTES:
                    self._came += piece
                self._changed.notify_all()
            if len(self._came) > LOUD_BYTES:
                time.sleep(NAP_S)
        os.close(self._descriptor)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, READ_BYTES)
        except OSError:  # EIO: nobody has the terminal any more
            return b""


class Program:
    """The process, as a context manager. Raises LaunchError where it cannot be started.

    Its screen is a terminal, since what a program writes to a pipe it may keep until there is
    more. keyboard: a pipe that is held open, a terminal, or the content of a file.
    """

    def __init__(
        self,
        command: list[str],
        keyboard: Keyboard | bytes = "pipe",
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            try:
                screen = _terminal(theirs, ours)
                heard, errors = _pipe(theirs, ours)
                stdin, self._keys = _keyboard(keyboard, theirs, ours)
                self._process = start(
                    command,
                    (),
                    stdin=stdin,
                    stdout=screen[0],
                    stderr=errors,
                    cwd=cwd,
                    env=env,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise why_not_started(error, command) from None
            ours.pop_all()
        if self._keys >= 0:
            os.set_blocking(self._keys, False)
        self.pid = self._process.pid
        try:
            self.screen, self.stderr = Output(screen[1]), Output(heard)
        except OSError as error:
            self.__exit__()
            raise why_not_started(error, command) from None
        self._is_terminal = keyboard == "terminal"

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        kill(self._process)
        if self._keys >= 0:
            os.close(self._keys)
            self._keys = -1

    # The keyboard.

    def type_some(self, text: bytes | memoryview, within: float) -> int:
        """As much of it as the pipe takes within so long. Raises BrokenPipeError."""
        poll = select.poll()
        poll.register(self._keys, select.POLLOUT)
        if not poll.poll(within * 1000):
            return 0
        try:
            return os.write(self._keys, text[:READ_BYTES])
        except BlockingIOError:
            return 0
        except OSError as error:  # EIO: a terminal that nobody has any more
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error

    def end_input(self) -> None:
        """Ctrl-D at a terminal, which stays open; the end of a pipe."""
        if self._is_terminal:
            self.type_some(CTRL_D, 0)
            return
        os.close(self._keys)
        self._keys = -1

    def untaken(self) -> int:
        """How many bytes were typed that it has not read."""
        answer = fcntl.ioctl(self._keys, termios.FIONREAD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

    # How it is.

    def status(self) -> int | None:
        """Its exit status, as of subprocess; None while it runs."""
        return self._process.poll()

    def ends_within(self, within: float) -> bool:
        return wait_until(lambda: self.status() is not None, within)

    def ending(self) -> str | None:
        """How it ended, if it has."""
        status = self.status()
        return None if status is None else ending_of(status) + and_stderr(self.stderr_tail())

    def stderr_tail(self) -> str:
        if self.status() is not None:
            self.stderr.wait_for_end(NAP_S)
        return last(self.stderr.since(0), TAIL_BYTES)


def _pipe(theirs: contextlib.ExitStack, ours: contextlib.ExitStack) -> tuple[int, int]:
    """Our end, to read from, and theirs."""
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


def _terminal(theirs: contextlib.ExitStack, ours: contextlib.ExitStack) -> tuple[int, int]:
    """Their end and ours, of one that changes nothing of what is shown."""
    try:
        master, slave = os.openpty()
    except OSError as error:
        raise UnableError(f"there is no terminal to be had here: {error.strerror}") from None
    ours.callback(os.close, master)
    theirs.callback(os.close, slave)
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    return slave, master


def _keyboard(
    keyboard: Keyboard | bytes, theirs: contextlib.ExitStack, ours: contextlib.ExitStack
) -> tuple[int, int]:
    """Their end, and ours; -1 where all has been typed."""
    if keyboard == "terminal":
        return _terminal(theirs, ours)
    if keyboard == "pipe":
        reading, writing = os.pipe()
        theirs.callback(os.close, reading)
        ours.callback(os.close, writing)
        return reading, writing
    file = os.memfd_create("keyboard")  # as any file to read(2) and epoll(7), and takes no folder
    theirs.callback(os.close, file)
    os.write(file, keyboard)
    os.lseek(file, 0, os.SEEK_SET)
    return file, -1
