"""The file that a unix socket is bound to: made, taken over and removed with care."""

from __future__ import annotations

import errno
import os
import socket
import stat

_MAX_PATH = 107  # bytes: sun_path has 108, and ends with a zero (unix(7))


class UnixListener(socket.socket):
    """A unix stream socket that knows which file it made."""

    path = ""
    file_id = (0, 0)  # device and inode
    process = 0


def bind_unix(path: str, mode: int | None = None) -> UnixListener:
    """A unix stream socket bound to `path`, not listening yet.

    mode: of the file, such as 0o660; who may write to it may connect (unix(7)). A name that begins
    with a zero is of the abstract namespace, where there is no file, and no mode: anybody in this
    network namespace may connect.

    A file that a server left behind, so that connecting is refused, is replaced; a live
    server's file, or one that is no socket, never is. Two servers that start at once may
    both replace it: the later one has the path then. Raises OSError.
    """
    size = len(os.fsencode(path))
    if size > _MAX_PATH:
        raise OSError(errno.ENAMETOOLONG, f"a path of {size} bytes; the limit is {_MAX_PATH}", path)
    sock = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or path.startswith("\0"):
                raise
            _remove_stale(path)
            sock.bind(path)
        if not path.startswith("\0"):
            sock.path, sock.file_id, sock.process = path, _file_id(path), os.getpid()
            if mode is not None:
                os.chmod(path, mode)  # before anybody can connect: it does not listen yet
    except BaseException:
        sock.close()
        raise
    return sock


def remove_unix_path(sock: socket.socket) -> None:
    """Remove the file of a socket that `bind_unix` made, unless somebody else's is there now.

    Before closing `sock`: while it is open, no other file can have its inode. Any other
    socket is left alone; what socket activation passed belongs to who made it, and what was there
    before a fork to the parent: its other children still serve it.
    """
    if isinstance(sock, UnixListener) and sock.fileno() >= 0 and sock.process == os.getpid():
        try:
            if _file_id(sock.path) == sock.file_id:
                os.unlink(sock.path)
        except FileNotFoundError:
            pass


def _file_id(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _remove_stale(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(
            errno.EEXIST, "it is there and not a socket; remove it, or choose another path", path
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog answers EAGAIN at once, and a datagram socket EPROTOTYPE: both live.
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(
                errno.EADDRINUSE, "a server has it; stop that, or choose another path", path
            )
    os.unlink(path)
