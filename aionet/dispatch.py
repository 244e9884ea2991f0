"""Several services as one: each has those who came by its doors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from aionet.protocol import Answer, Deliveries, Service
from aionet.protocol.service import Delivery

if TYPE_CHECKING:
    from aionet.connection import Connection


class Dispatch(Service):
    """Gives what comes to the service of the door by which its peer came."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self.one_process = any(each.one_process for each in services)
        self._due = {each: 0.0 for each in services if each.tick_every is not None}
        self.tick_every = min((each.tick_every or inf for each in self._due), default=None)

    def connect(self, peer: Connection) -> Answer:
        return peer.door.service.connect(peer)

    def receive_data(self, peer: Connection, data: bytes) -> Answer:
        return peer.door.service.receive_data(peer, data)

    def receive_eof(self, peer: Connection) -> Answer:
        return peer.door.service.receive_eof(peer)

    def unfinished(self, peer: Connection) -> int | None:
        return peer.door.service.unfinished(peer)

    def tick(self, now: float) -> Iterator[Delivery]:
        for service, due in self._due.items():
            if now >= due:
                self._due[service] = now + (service.tick_every or inf)
                yield from service.tick(now)

    def say_goodbye(self) -> Deliveries:
        return chain.from_iterable(each.say_goodbye() for each in self._services)
