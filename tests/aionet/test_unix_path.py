"""The file of a unix socket: replaced only if nobody has it, removed only if it is ours."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from aionet.unix_path import bind_unix, remove_unix_path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


def test_a_file_that_a_server_left_behind_is_replaced(path: str) -> None:
    bind_unix(path).close()
    assert os.path.exists(path)
    with bind_unix(path) as sock:
        assert sock.getsockname() == path


@pytest.mark.parametrize("backlog", [0, 128])
def test_a_live_servers_file_is_refused_and_stays(path: str, backlog: int) -> None:
    with bind_unix(path) as live, socket.socket(socket.AF_UNIX) as client:
        live.listen(backlog)
        client.connect(path)  # a backlog of 0 has room for one
        with pytest.raises(OSError, match="a server has it") as refusal:
            bind_unix(path)
        assert refusal.value.errno == errno.EADDRINUSE
        assert os.path.exists(path)


def test_a_live_datagram_sockets_file_is_refused(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as live:
        live.bind(path)
        with pytest.raises(OSError, match="a server has it"):
            bind_unix(path)


def test_what_is_not_a_socket_is_refused_and_stays(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(FileExistsError, match="not a socket; remove it"):
        bind_unix(path)
    assert Path(path).read_text() == "precious"


def test_a_link_to_a_stale_socket_is_not_a_socket(path: str, tmp_path: Path) -> None:
    bind_unix(path).close()
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(FileExistsError, match="not a socket"):
        bind_unix(str(link))
    assert link.is_symlink()


def test_a_directory_that_is_not_there_passes_unwrapped(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        bind_unix(f"{path}/s")


def test_a_path_of_107_bytes_is_the_longest(tmp_path: Path) -> None:
    longest = str(tmp_path / "x").ljust(107, "x")
    with bind_unix(longest) as sock:
        assert sock.getsockname() == longest
    with pytest.raises(OSError, match="a path of 108 bytes; the limit is 107") as refusal:
        bind_unix(f"{longest}x")
    assert refusal.value.errno == errno.ENAMETOOLONG


def test_the_limit_counts_bytes() -> None:
    with pytest.raises(OSError, match="a path of 121 bytes"):
        bind_unix(os.fsdecode(b"/" + "\u00e4".encode() * 60))


def test_our_own_file_is_removed_and_twice_is_no_error(path: str) -> None:
    with bind_unix(path) as sock:
        remove_unix_path(sock)
        assert not os.path.exists(path)
        remove_unix_path(sock)


def test_the_file_of_who_took_the_path_over_is_left(path: str) -> None:
    with bind_unix(path) as ours:
        os.unlink(path)
        with bind_unix(path):
            remove_unix_path(ours)
            assert os.path.exists(path)


def test_a_duplicate_or_a_strangers_socket_removes_nothing(path: str) -> None:
    with bind_unix(path) as sock, sock.dup() as duplicate:
        remove_unix_path(duplicate)
        assert os.path.exists(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(path)
        remove_unix_path(stranger)
        assert os.path.exists(path)


def test_a_child_leaves_the_file_to_who_made_it(path: str) -> None:
    with bind_unix(path) as sock:
        if not (child := os.fork()):
            try:
                remove_unix_path(sock)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.path.exists(path)
        remove_unix_path(sock)
        assert not os.path.exists(path)


def test_who_was_closed_removes_nothing(path: str) -> None:
    sock = bind_unix(path)
    sock.close()
    remove_unix_path(sock)
    assert os.path.exists(path)
