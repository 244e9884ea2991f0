"""What is no JSON, or not of the kind that was asked for."""

from __future__ import annotations

import msgspec

# All that msgspec.json.decode() raises: of letters that are no UTF-8, and of what is too deep, in
# fields that are passed over, too, errors that are none of its own.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
