"""Limits and Timeouts: what they take, and what they say about the rest."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from aionet.limits import CloseReason, Limits, Timeouts

OPTIONAL_LIMITS = (
    *("connections", "per_peer", "rate", "peer_rate"),
    *("udp_rate", "udp_rate_loopback"),
)
SIZES = ("message", "write_buffer", "outbox", "min_rate", "udp_handlers")
OTHERS = ("on_full", "udp_low_ports")
OPTIONAL_TIMEOUTS = ("idle", "message", "write", "half_closed", "handshake")
FINITE_TIMEOUTS = ("drain", "linger")


def test_every_field_is_tested_here() -> None:
    assert {field.name for field in fields(Limits)} == {*OPTIONAL_LIMITS, *SIZES, *OTHERS}
    assert {field.name for field in fields(Timeouts)} == {*OPTIONAL_TIMEOUTS, *FINITE_TIMEOUTS}


@pytest.mark.parametrize("name", [*OPTIONAL_LIMITS, *SIZES])
@pytest.mark.parametrize("value", [1, 2**31 - 1])
def test_a_limit_is_anything_from_one_to_what_a_c_int_holds(name: str, value: int) -> None:
    wide = {"write_buffer": 1, "outbox": 2**31 - 1}
    assert getattr(Limits(**{**wide, name: value}), name) == value


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"outbox": 16384}, "Limits.outbox is 16384; .* Limits.write_buffer, which is 65536: "),
        (
            {"write_buffer": 2_000_000},
            "Limits.outbox is 1048576; .* Limits.write_buffer, which is 2000000: ",
        ),
    ],
)
def test_an_outbox_below_the_write_buffer_is_refused_whichever_was_given(
    given: dict[str, int], line: str
) -> None:
    with pytest.raises(ValueError, match=line):
        Limits(**given)  # type: ignore[arg-type]
    assert Limits(write_buffer=7, outbox=7).outbox == 7


@pytest.mark.parametrize("name", [*OPTIONAL_LIMITS, *SIZES])
@pytest.mark.parametrize("value", [0, -1, 2**31, 1.5, "1", float("inf")])
def test_any_other_limit_is_refused_by_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^Limits\.{name} is ") as error:
        Limits(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("name", OPTIONAL_LIMITS)
def test_a_count_may_be_lifted(name: str) -> None:
    assert getattr(Limits(**{name: None}), name) is None


@pytest.mark.parametrize("name", SIZES)
def test_no_size_may_be_lifted(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is None"):
        Limits(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["queue", "reject"])
def test_who_is_over_the_limit_waits_or_is_rejected(value: Any) -> None:
    assert Limits(on_full=value).on_full == value


@pytest.mark.parametrize("value", ["", "wait", None, 1])
def test_there_is_no_third_way(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Limits\.on_full is .*'queue' or 'reject'"):
        Limits(on_full=value)


@pytest.mark.parametrize("value", [None, 0, 1, "yes"])
def test_low_ports_are_answered_or_not(value: Any) -> None:
    assert Limits(udp_low_ports=True).udp_low_ports is True
    with pytest.raises(ValueError, match=r"^Limits\.udp_low_ports is .*True or False"):
        Limits(udp_low_ports=value)


@pytest.mark.parametrize("name", [*OPTIONAL_TIMEOUTS, *FINITE_TIMEOUTS])
@pytest.mark.parametrize("value", [0.001, 1, 24 * 3600])
def test_a_timeout_is_anything_up_to_a_day(name: str, value: float) -> None:
    assert getattr(Timeouts(**{name: value}), name) == value


@pytest.mark.parametrize("name", [*OPTIONAL_TIMEOUTS, *FINITE_TIMEOUTS])
@pytest.mark.parametrize("value", [0, -1, 86401, float("nan"), float("inf"), "1"])
def test_any_other_timeout_is_refused_by_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^Timeouts\.{name} is ") as error:
        Timeouts(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("name", OPTIONAL_TIMEOUTS)
def test_most_timeouts_may_be_lifted(name: str) -> None:
    assert getattr(Timeouts(**{name: None}), name) is None


@pytest.mark.parametrize("name", FINITE_TIMEOUTS)
def test_stopping_and_closing_always_end(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is None"):
        Timeouts(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [Limits(), Timeouts()])
def test_settings_cannot_be_changed_but_replaced(settings: Limits | Timeouts) -> None:
    with pytest.raises(FrozenInstanceError):
        settings.message = 1  # type: ignore[misc]
    assert replace(settings, message=1).message == 1
    assert replace(settings) == settings


def test_a_reason_reads_as_its_name_in_a_log() -> None:
    assert f"{CloseReason.SLOW_READER}" == "slow-reader"
    assert len({reason.value for reason in CloseReason}) == len(CloseReason) == 12
