"""Several services as one: each has those who came by its doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aionet.handlers import Handlers
from aionet.protocol import Answer, Service

if TYPE_CHECKING:
    from aionet.connection import Connection


class Dispatch(Service):
    """Gives what comes to the service of the door by which its peer came."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self.one_process = any(each.one_process for each in services)

    @property
    def _parts(self) -> Sequence[Service]:
        return self._services

    def connect(self, peer: Connection) -> Answer:
        return peer.door.service.connect(peer)

    def receive_data(self, peer: Connection, data: bytes) -> Answer:
        return peer.door.service.receive_data(peer, data)

    def receive_eof(self, peer: Connection) -> Answer:
        return peer.door.service.receive_eof(peer)

    def unfinished(self, peer: Connection) -> int | None:
        service = peer.door.service
        if isinstance(service, Handlers):  # whose streams say so themselves
            return peer.extra.message if peer.extra is not None else None
        return service.unfinished(peer)
