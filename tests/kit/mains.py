"""The command of each package that serves."""

from __future__ import annotations

import pytest

from aionet.__main__ import main as aionet_main
from blocking.__main__ import main as blocking_main

MAINS = {"aionet": aionet_main, "blocking": blocking_main}

each_package = pytest.mark.parametrize("package", MAINS)
