"""TLS: a sane server context."""

from __future__ import annotations

import ssl
from os import PathLike


def server_context(
    certificate: str | PathLike[str], key: str | PathLike[str] | None = None
) -> ssl.SSLContext:
    """A context for a server from two PEM files: TLS 1.2 and later, no compression, and new keys
    only as TLS 1.3 has them: while a peer renegotiates, nothing could be said to it.

    `certificate` holds the chain, and the key, too, where `key` is not given. Raises OSError
    (ssl.SSLError is one) where they cannot be read or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context
