"""A service that is given whole messages: the framing stands before it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from aionet.protocol.framing import Framing, Reader, check_framing
from aionet.protocol.service import (
    OVERSIZE,
    Answer,
    Close,
    Deliveries,
    Delivery,
    Service,
    deliveries,
)

NOBODY: Delivery = ([], b"")


class Framed(Service):
    """Gives `service` the messages of `framing`, one at a time, each by `receive_data`.

    A message may be empty. One that is too long ends its connection (`oversize`), and one that is
    not whole when its peer has finished is dropped. A datagram is a message by itself.
    """

    def __init__(self, service: Service, framing: Framing) -> None:
        if not isinstance(service, Service):
            raise ValueError(f"{service!r} is no aionet.Service, which a framing is for")
        check_framing(framing)
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
        messages = reader.read(data)
        first = next(messages, None)
        if first is None:
            return OVERSIZE if reader.too_long else None
        second = next(messages, None)
        if second is None and not reader.too_long:
            return self._service.receive_data(peer, first)
        begun = iter([first] if second is None else [first, second])  # lets go of them at its end
        return self._hear(peer, reader, chain(begun, messages))

    def _hear(self, peer: Any, reader: Reader, messages: Iterator[bytes]) -> Iterator[Delivery]:
        """Each only when what the last one led to is said, and nothing of who was closed."""
        for message in messages:
            answer = self._service.receive_data(peer, message)
            closed = False
            for to, what in deliveries(peer, answer):
                yield to, what
                closed |= isinstance(what, Close) and (
                    to is peer or (isinstance(to, list) and peer in to)
                )
            if closed or getattr(peer, "closing", False):  # perhaps by another way
                return
            if not answer:
                yield NOBODY  # so that others have their turn, though nothing is said
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
