"""The files of TLS: they are loaded, or one line says which of them is wrong, and what to do."""

from __future__ import annotations

import os
import ssl
import stat
from os import PathLike
from typing import NoReturn

Path = str | PathLike[str]

_ENDS = {"certificate": b"CERTIFICATE-----", "private key": b"PRIVATE KEY-----"}
_MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class _EncryptedError(Exception):
    """Somebody would have to be asked for a password."""


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> None:
    """Raises OSError, of which ssl.SSLError is one, with the name of the file that is wrong."""
    holder = certificate if key is None else key
    try:
        context.load_cert_chain(certificate, key, password=_refuse)
    except _EncryptedError:
        told = f"the private key in {holder} is encrypted, and nobody is asked for a password: "
        _fail(holder, told + f"openssl pkey -in {holder} -out FILE decrypts it")
    except OSError as error:
        _look_at("certificate", certificate, error)
        _look_at("private key", holder, error, alone=key is None)
        reason = getattr(error, "reason", None)
        if reason in _MISMATCH:
            told = f"the private key in {holder} is not that of the certificate in {certificate}"
            _fail(holder, f"{told}, which must be the first of its file", error)
        if reason is None and _has_certificates(certificate):
            _fail(
                holder, f"the private key in {holder} cannot be used; get it anew: {error}", error
            )
        told = f"the certificate in {certificate} cannot be used; get it anew"
        _fail(certificate, f"{told}: {error}", error)


def load_authorities(context: ssl.SSLContext, file: Path) -> None:
    """Those who may sign certificates of the other side. Raises as `load_pair`."""
    try:
        context.load_verify_locations(file)
    except OSError as error:
        _look_at("certificate", file, error)
        _fail(file, f"the certificate in {file} cannot be used; get it anew: {error}", error)


def _refuse() -> NoReturn:
    raise _EncryptedError


def _look_at(what: str, path: Path, error: OSError, *, alone: bool = False) -> None:
    """Raises what is wrong with a file, as far as that is seen without OpenSSL, which told `error`.

    alone: it is to have the certificate as well.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return  # what can be read once
        with open(path, "rb") as file:
            data = file.read()
    except OSError as cannot:
        told = f"the {what} must be in a PEM file that can be read: {cannot.strerror}"
        raise OSError(cannot.errno, told, os.fspath(path)) from error
    if _ENDS[what] in data:
        return
    told = f"{path} has no {what} as PEM (-----BEGIN ...): "
    if data.startswith(b"0"):  # a SEQUENCE
        told += f"openssl {'x509' if what == 'certificate' else 'pkey'} makes PEM of DER"
    elif alone:
        told += "name the file of the key, too"
    else:
        told += "name a file that has"
    _fail(path, told, error)


def _has_certificates(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except OSError:
        return False
    return True


def _fail(path: Path, told: str, error: OSError | None = None) -> NoReturn:
    explained = ssl.SSLError(error.errno if error is not None else ssl.SSL_ERROR_SSL, told)
    explained.filename = os.fspath(path)
    if isinstance(error, ssl.SSLError):
        explained.library, explained.reason = error.library, error.reason
    raise explained from error
