"""Whether Dask is there."""

from __future__ import annotations

import importlib.util

INSTALL = "pip install 'aionet-compare[cluster]'"


def missing() -> str | None:
    """What to type where it is not."""
    if importlib.util.find_spec("distributed") is None:
        return f"--cluster needs Dask: {INSTALL}"
    return None
