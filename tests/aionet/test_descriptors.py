"""How many connections the descriptors suffice for, and how often a lack of them is logged."""

from __future__ import annotations

import logging
import math
import resource

import pytest

from aionet import descriptors
from aionet.descriptors import descriptor_room, warn_cannot_accept


@pytest.mark.parametrize(
    ("soft", "room"),
    [(1024, 960), (66, 2), (65, 1), (64, 1), (3, 1), (resource.RLIM_INFINITY, 2**31 - 1)],
)
def test_the_room_is_what_the_soft_limit_leaves_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, soft: int, room: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, resource.RLIM_INFINITY))
    assert descriptor_room() == room


def test_the_reserve_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    assert descriptor_room(reserve=10) == 90


def test_a_pause_is_logged_once_a_second_however_often_it_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(descriptors, "_quiet_until", -math.inf)
    tenths = iter(range(1000, 1030))
    monkeypatch.setattr(descriptors.time, "monotonic", lambda: next(tenths) / 10)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            warn_cannot_accept("cannot accept: %s", "as told")
    assert [record.getMessage() for record in caplog.records] == ["cannot accept: as told"] * 3
