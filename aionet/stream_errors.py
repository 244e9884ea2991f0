"""How the calls of a stream fail: by what the peer did, or by a mistake of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.limits import CloseReason

if TYPE_CHECKING:
    from aionet.stream import Stream


class ClosedStreamError(Exception):
    """The stream was used after it was closed here: a mistake of the program."""


class BrokenStreamError(ConnectionError):
    """The peer of `stream` is gone, or was dropped: `reason` says which. No mistake of the program.

    An OSError, as what asyncio's streams raise. Where TLS has failed, that ssl.SSLError is its
    __cause__, such as that the server has refused the certificate of this client.
    """

    def __init__(self, reason: CloseReason, stream: Stream | None = None) -> None:
        who = f" to {stream.address}" if stream is not None else ""
        super().__init__(f"the connection{who} is gone ({reason})")
        self.reason = reason
        self.stream = stream


class IncompleteError(BrokenStreamError):
    """The end came in the midst of a message: `partial` is what there was.

    reason: `eof` if the peer has finished sending, `drain` if the server has stopped meanwhile.
    """

    def __init__(
        self, partial: bytes, stream: Stream, reason: CloseReason = CloseReason.EOF
    ) -> None:
        super().__init__(reason, stream)
        self.partial = partial
