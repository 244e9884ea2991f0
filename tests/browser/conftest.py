"""A browser, for those modules that are not skipped for want of one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with import_module("chromium").launched() as browser:
        yield browser
