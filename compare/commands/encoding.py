"""Output that is not UTF-8: what its encoding lacks is written as what is nearest to it."""

from __future__ import annotations

import codecs
import io
from typing import Any

_NEAREST = str.maketrans(
    {
        **dict.fromkeys("█▉▊▋▌", "#"),
        **dict.fromkeys("▍▎▏▄▅", "-"),
        **dict.fromkeys("▁▂▃", "."),
        **dict.fromkeys("▆▇", "#"),
        **dict.fromkeys("─━–—−", "-"),  # noqa: RUF001  dashes are what it is about
        **dict.fromkeys("│┃", "|"),
        **dict.fromkeys("‘’", "'"),  # noqa: RUF001
        **dict.fromkeys("“”", '"'),
        "µ": "u",
        "±": "~",
        "×": "x",  # noqa: RUF001
        "…": "~",
        "→": ">",
    }
)
_ASCII = "compare_ascii"


def _nearest(error: UnicodeError) -> tuple[str, int]:
    """One character for each, so that columns stay columns."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_NEAREST)
    return "".join(each if each.isascii() else "?" for each in text), error.end


def _search(name: str) -> codecs.CodecInfo | None:
    """ASCII by another name: click takes the usual one for a mistake, and writes UTF-8."""
    if name != _ASCII:
        return None
    plain = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        incrementalencoder=plain.incrementalencoder,
        incrementaldecoder=plain.incrementaldecoder,
        name=_ASCII,
    )


codecs.register_error("compare.nearest", _nearest)
codecs.register(_search)


def forgive(stream: Any) -> None:
    """Let a text stream write whatever we say, as well as its encoding can."""
    if isinstance(stream, io.TextIOWrapper):
        plain = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding=_ASCII if plain else None, errors="compare.nearest")
