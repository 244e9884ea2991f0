"""One person's side of a chat: what to send of what is typed, what to show of what is said."""

from __future__ import annotations

import codecs
import re

# Who has left waits this long for the last words of a server that does not close.
LEAVE_TIMEOUT_S = 2.0

_NAME = re.compile(r"[A-Za-z0-9]{1,32}")
# Control characters (C0, DEL, C1) but the tab and the line end: a server has no business
# moving the cursor, setting the title or ringing the bell.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Screen:
    """What is shown of what others say: all of it, or what a terminal can take."""

    def __init__(self, *, terminal: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if terminal else None

    def show(self, data: bytes) -> bytes:
        """b"" is the end: a character that was cut short is shown as such."""
        if self._decoder is None:
            return data
        return _CONTROL.sub("", self._decoder.decode(data, final=not data)).encode()


def check_name(name: str) -> None:
    """Raises ValueError, with a message for a person, for a name that no room accepts."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name; a name is 1 to 32 letters and digits")


class ChatClient:
    """A person called `name`, to whom things are shown on a terminal, or not.

    Raises ValueError, with a message for a person, for a name that no room accepts.
    """

    def __init__(self, name: str, *, terminal: bool) -> None:
        check_name(name)
        self.first_line = name.encode() + b"\n"
        self.refused = False  # the server has said an error line, `! ...`
        self._within_line = False
        self._line_start = b""
        self._screen = Screen(terminal=terminal)

    def send_data(self, typed: bytes) -> bytes:
        """What to send for `typed`; b"", its end, ends an unfinished line."""
        if not typed:
            return b"\n" if self._within_line else b""
        self._within_line = not typed.endswith(b"\n")
        return typed

    def receive_data(self, data: bytes) -> bytes:
        """What to show for `data`, b"" being its end: all of it, or what a terminal can take."""
        lines = (self._line_start + data).split(b"\n")
        self.refused |= any(line.startswith(b"! ") for line in lines)
        self._line_start = lines[-1][:2]
        return self._screen.show(data)
