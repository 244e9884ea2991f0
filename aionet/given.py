"""What a program gave, looked at where it gave it: one line that says what, and what it must be.

A setting that cannot be meant raises ValueError, whatever its type; what is to be sent, and is not
bytes, TypeError.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def check_whole(name: str, value: object, most: float = float("inf")) -> None:
    """It must be a whole number from 1 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        up_to = "at least 1" if most == float("inf") else f"1 to {most}"
        raise ValueError(f"{name} is {value!r}; it must be {up_to}")


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; it must be True or False")


def is_number(value: object) -> bool:
    """Whether it is one, and not NaN, which is no number of anything."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def check_wait(name: str, value: object) -> None:
    """It must be what is left to wait, which may be nothing any more; None is without end."""
    if value is not None and not is_number(value):
        raise ValueError(f"{name} is {value!r}; it must be a number of seconds, or None")


def one_of(kind: type[T], name: str, value: T | None, default: T) -> T:
    """`value`, or `default` for None."""
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r}; it must be made by aionet.{kind.__name__}()")
    return value


def as_bytes(call: str, data: object) -> bytes:
    """What `call` is to send. Raises TypeError for what is not bytes."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"{call}() was given {type(data).__name__}; it must be bytes{hint(data)}")
    return bytes(data)


def hint(data: object) -> str:
    """How text becomes bytes."""
    return ": text.encode()" if isinstance(data, str) else ""
