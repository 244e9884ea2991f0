"""What a student is called: the same however the name is typed."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200  # characters
_NAME = re.compile(rf"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{{0,{LONGEST - 1}}}")


def known_as(name: str) -> str:
    """Without what is around it, in one of Unicode's ways to write it; an address in small letters.

    Of that name are the variant and the seeds, on the student's machine and on the teacher's.
    """
    found = unicodedata.normalize("NFC", name.strip())
    return unicodedata.normalize("NFC", found.casefold()) if "@" in found else found


def read_name(text: str) -> str:
    """Raises ValueError with a line."""
    found = known_as(text)
    if len(found) > LONGEST:
        raise ValueError(f"a name of {len(found)} characters is too long: {LONGEST} at most")
    if not _NAME.fullmatch(found):
        raise ValueError(f"{text!r} is no name: letters, digits and signs, in one line")
    return found
