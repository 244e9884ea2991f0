"""A service that is given whole messages: the framing stands before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aionet.protocol.framing import Framing, Reader
from aionet.protocol.service import (
    OVERSIZE,
    Answer,
    Close,
    Deliveries,
    Delivery,
    Service,
    deliveries,
)


class Framed(Service):
    """Gives `service` the messages of `framing`, one at a time, each by `receive_data`.

    A message may be empty. One that is too long ends its connection (`oversize`), and one that is
    not whole when its peer has finished is dropped. A datagram is a message by itself.
    """

    def __init__(self, service: Service, framing: Framing) -> None:
        self._service = service
        self._framing = framing
        self._readers: dict[Any, Reader] = {}
        self.one_process = service.one_process
        self.tick_every = service.tick_every
        self.tick = service.tick  # type: ignore[method-assign]
        self.say_goodbye = service.say_goodbye  # type: ignore[method-assign]

    def connect(self, peer: Any) -> Answer:
        self._readers[peer] = self._framing.reader()
        return self._service.connect(peer)

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        reader = self._readers.get(peer)
        if reader is None:
            return self._service.receive_data(peer, data)
        messages = reader.receive_data(data)
        if len(messages) == 1 and not reader.too_long:
            return self._service.receive_data(peer, messages[0])
        if messages or reader.too_long:
            return self._hear(peer, reader, messages)
        return None

    def _hear(self, peer: Any, reader: Reader, messages: list[bytes]) -> Iterator[Delivery]:
        """Each only when what the last one led to is said, and nothing of who was closed."""
        for message in messages:
            for to, what in deliveries(peer, self._service.receive_data(peer, message)):
                yield to, what
                if isinstance(what, Close) and (
                    to is peer or (isinstance(to, list) and peer in to)
                ):
                    return
        if reader.too_long:
            yield peer, OVERSIZE

    def receive_eof(self, peer: Any) -> Answer:
        del self._readers[peer]
        return self._service.receive_eof(peer)

    def unfinished(self, peer: Any) -> int | None:
        reader = self._readers.get(peer)
        return None if reader is None else reader.unfinished

    def say_goodbye(self) -> Deliveries:
        return self._service.say_goodbye()
