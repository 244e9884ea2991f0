"""TLS: a sane server context, whose certificates may change while it serves."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, Literal, cast

from aionet.pem import Path, load_authorities, load_pair
from aionet.throttle import throttled

Pair = tuple[Path, Path | None]  # the files of a certificate and of its key
ClientCertificate = Literal["none", "optional", "required"]

_VERIFY = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class ServerContext(ssl.SSLContext):
    """A context of a server that reads its certificates again. Made by `server_context`.

    A connection has the certificate that was there at its handshake, by the name that its client
    asks for (SNI, RFC 6066, 3).
    """

    _pair: Pair
    _hosts: dict[str, ServerContext]
    _read: list[Any]  # what the files were when they were read
    _seen: list[Any]  # and when they were last looked at

    def use(self, pair: Pair, hosts: Mapping[str, ServerContext]) -> None:
        """Raises OSError where they cannot be read, or do not belong together."""
        self._pair = pair
        self._hosts = {name.lower(): context for name, context in hosts.items()}
        self.reload()
        if hosts:
            self.sni_callback = _choose
            _Unraisable.watch()

    def reload(self) -> None:
        """Read all files again, for connections from now on.

        Raises OSError (ssl.SSLError is one) with the name of the file, and changes nothing of the
        pair then. A key of another kind (RSA, EC) is used beside the one before it: OpenSSL has a
        place for each.
        """
        read = self._look()
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._pair)  # whether it can
        load_pair(self, *self._pair)
        self._read = self._seen = read
        for context in self._hosts.values():
            context.reload()

    def reload_if_changed(self) -> bool:
        """As `reload`, if the files have changed, and are no longer changing; whether it was done.

        Two of them are not replaced at the same moment, so it waits until two looks are equal.
        """
        changed = [context.reload_if_changed() for context in self._hosts.values()]
        seen, self._seen = self._seen, self._look()
        if self._seen != self._read and self._seen == seen:
            self._read = seen  # once is enough for what cannot be used
            self.reload()
            return True
        return any(changed)

    def _look(self) -> list[Any]:
        looks: list[Any] = []
        for path in self._pair:
            try:
                status = os.stat(path) if path is not None else None
            except OSError as error:
                looks.append(error.errno)
            else:
                looks.append(status and (status.st_ino, status.st_size, status.st_mtime_ns))
        return looks

    def of(self, name: str) -> ssl.SSLContext:
        """Whose certificate a client gets that asks for `name`; `*.example.org` is one label."""
        name = name.lower()
        wildcard = f"*.{name.partition('.')[2]}"
        return self._hosts.get(name) or self._hosts.get(wildcard) or self


def _choose(which: Any, name: str | None, context: ssl.SSLContext) -> None:
    if name is not None:
        which.context = cast(ServerContext, context).of(name)


class _Unraisable:
    """A sys.unraisablehook that logs, throttled, the names that are not ASCII.

    CPython fails over them before it asks for a context: the handshake ends, and each of them
    would have a traceback on stderr. All else goes to the hook before it.
    """

    def __init__(self, before: Callable[[Any], object]) -> None:
        self._before = before

    def __call__(self, what: Any) -> None:
        error = what.exc_value
        if isinstance(error, UnicodeDecodeError) and (
            isinstance(what.object, bytes)  # until CPython 3.13
            or "servername callback while decoding" in (what.err_msg or "")
        ):
            throttled(logging.WARNING, "a client asks for a name that is none: %r", error.object)
        else:
            self._before(what)

    @classmethod
    def watch(cls) -> None:
        if not isinstance(sys.unraisablehook, cls):
            sys.unraisablehook = cls(sys.unraisablehook)


def check_context(name: str, context: object) -> None:
    """Raises ValueError for what is none."""
    if not isinstance(context, ssl.SSLContext):
        raise ValueError(f"{name} is {context!r}; it must be an ssl.SSLContext")


def server_context(
    certificate: Path,
    key: Path | None = None,
    *,
    hosts: Mapping[str, Path | Pair] | None = None,
    client_ca: Path | None = None,
    client_cert: ClientCertificate | None = None,
    alpn: Iterable[str] = (),
) -> ServerContext:
    """A context for a server from two PEM files: TLS 1.2 and later, no compression, and new keys
    only as TLS 1.3 has them: while a peer renegotiates, nothing could be said to it.

    `certificate` holds the chain, and the key, too, where `key` is not given. A server reads them
    again when the files have changed, and `run` on SIGHUP, for the connections that come then.

    hosts: other certificates, by the name that a client asks for, which may be "*.example.org": a
        file, or a pair of files as above. All else is the same for these, but what is changed of
        the context afterwards is not.
    client_ca: PEM file of those who may sign certificates of clients. client_cert: whether they
        need one; "required" where there is a client_ca, unless it is said otherwise. A stream has
        it in get_extra_info("peercert").
    alpn: what is spoken, the best first, such as "h2" (RFC 7301).

    Raises OSError (ssl.SSLError is one) where a file cannot be read, is not PEM, or does not belong
    to the other, and where a key is encrypted: it names the file. And ValueError for client
    certificates that nobody may sign, and for what cannot be meant.
    """
    pairs = {
        name: files if isinstance(files, tuple) else (files, None)
        for name, files in (hosts or {}).items()
    }
    _check_path("certificate", certificate)
    for what, path in (("key", key), ("client_ca", client_ca)):
        if path is not None:
            _check_path(what, path)
    for name, files in pairs.items():
        if len(files) != 2:
            raise ValueError(f"hosts[{name!r}] is {files!r}; it must be a file, or two of them")
        for path in files[: 1 if files[1] is None else 2]:
            _check_path(f"hosts[{name!r}]", path)
    if isinstance(alpn, str):
        raise ValueError(f"alpn is {alpn!r}; it must be a list, such as [{alpn!r}]")
    need: object = client_cert
    if need is None:
        need = "required" if client_ca is not None else "none"
    if not isinstance(need, str) or need not in _VERIFY:
        raise ValueError(f"client_cert is {need!r}; it must be 'none', 'optional' or 'required'")
    if need != "none" and client_ca is None:
        raise ValueError(f"client_cert is {need!r} and needs client_ca, a PEM file")

    def make(pair: Pair, hosts: Mapping[str, ServerContext]) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.use(pair, hosts)
        if client_ca is not None:
            load_authorities(context, client_ca)
        context.verify_mode = _VERIFY[need]
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    protocols = list(alpn)
    return make((certificate, key), {name: make(pair, {}) for name, pair in pairs.items()})


def _check_path(what: str, path: object) -> None:
    if not isinstance(path, str | PathLike) or "\0" in str(path):
        raise ValueError(f"{what} is {path!r}; it must be the path of a PEM file")
