"""Runs of one's own: the same for the same student and lesson, and known to who has the secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from compare.check.student import known_as

BYTES = 32


def new_secret() -> str:
    return secrets.token_hex(BYTES)


def seed_of(secret: str, student: str, lesson: int) -> int:
    """As `compare check --seed` takes it."""
    words = f"{known_as(student)}\0{lesson}".encode()
    digest = hmac.digest(bytes.fromhex(secret), words, hashlib.sha256)
    return int.from_bytes(digest[:8], "big") >> 1
