"""The run of a coroutine on a loop, as the fixture `run` gives it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
