"""A certificate for the servers of a run, made when it is wanted, by openssl(1)."""

from __future__ import annotations

import os
import shutil
import subprocess
import weakref

DAYS = 30
MAKE_S = 30.0
_COMMAND = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-nodes", "-subj", "/CN=localhost", "-days", str(DAYS)),
    *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"),
    *("-keyout", "/dev/stdout", "-out", "/dev/stdout"),
)
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def why_not() -> str | None:
    """Why none can be made here; None if one can."""
    if shutil.which("openssl") is None:
        return "--tls needs openssl(1), which makes the certificate: apt install openssl"
    return None


class Certificate:
    """One that signed itself, so that it is its own authority.

    pem: the certificate alone, for who verifies it. path: of it and its key, for a server; it is
    there for as long as this object, and for processes of this user. In memory, so that it takes
    no folder that can be written, and no key is left behind.
    """

    def __init__(self, text: str) -> None:
        self.pem = f"{text[text.index(_BEGIN) : text.index(_END)]}{_END}\n"
        descriptor = os.memfd_create("certificate")
        weakref.finalize(self, os.close, descriptor)
        os.write(descriptor, text.encode("ascii"))
        self.path = f"/proc/{os.getpid()}/fd/{descriptor}"


def make() -> Certificate:
    """A new one. Raises OSError where that cannot be."""
    try:
        made = subprocess.run(_COMMAND, capture_output=True, timeout=MAKE_S, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(f"openssl made no certificate: {said[-1] if said else error}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"openssl made no certificate within {MAKE_S:g} s") from None
    return Certificate(made.stdout.decode("ascii"))
