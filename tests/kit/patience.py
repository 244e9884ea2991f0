"""Timeouts that never come."""

from __future__ import annotations

from aionet.limits import Timeouts

PATIENT = Timeouts(idle=None, message=None, write=None, half_closed=None)
