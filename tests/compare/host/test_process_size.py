"""How large a process is, and who belongs to it, against processes that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from known_process import BURN, Child, with_child

from compare.host import process


def test_size_counts_threads_descriptors_and_memory(child: Child) -> None:
    code = """
import os, sys, threading
held = bytearray(30_000_000)
pipes = [os.pipe() for _ in range(10)]
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("done", flush=True)
sys.stdin.read()
os._exit(0)
"""
    plain = process.size(child(BURN.format(seconds=0)).pid)
    size = process.size(child(code).pid)
    assert plain.threads == 1
    assert size.threads == 4
    assert plain.descriptors == 3
    assert size.descriptors == 23
    assert 29_000 <= size.rss_kb - plain.rss_kb <= 35_000


def test_size_is_that_of_all_descendants(child: Child) -> None:
    pid = child(with_child(BURN.format(seconds=0))).pid
    size = process.size(pid)
    assert size.threads == 2
    assert size.descriptors == 3 + 2 + 3
    assert size.rss_kb > process.size(process.tree(pid)[1]).rss_kb


def test_memory_that_processes_share_counts_once(child: Child) -> None:
    code = """
import os, sys
held = bytearray(30_000_000)
for _ in range(2):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
print("done", flush=True)
sys.stdin.read()
os._exit(0)
"""
    plain = process.pss_kb(child(BURN.format(seconds=0)).pid)
    pid = child(code).pid
    assert len(process.tree(pid)) == 3
    assert 29_000 <= process.pss_kb(pid) - plain <= 45_000
    assert process.size(pid).rss_kb >= 3 * 29_000


def test_tree_finds_children_of_every_thread_and_their_children(child: Child) -> None:
    code = """
import os, sys, threading
def fork_twice():
    if os.fork() == 0:
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        print("done", flush=True)
        sys.stdin.read()
        os._exit(0)
    threading.Event().wait()
threading.Thread(target=fork_twice, daemon=True).start()
sys.stdin.read()
os._exit(0)
"""
    started = child(code)
    found = process.tree(started.pid)
    assert found[0] == started.pid
    assert len(found) == len(set(found)) == 3


def test_descriptors_of_one_process_are_counted(child: Child) -> None:
    assert process.count_descriptors(child(BURN.format(seconds=0)).pid) == 3


def test_descriptor_that_accept_has_only_reserved_is_not_counted(
    child: Child, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    code = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print("done", flush=True)
    listener.accept()
"""
    pid = child(code).pid

    def is_asleep() -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    wait_until(is_asleep, "it waits in accept()")
    assert process.count_descriptors(pid) == 4
    assert process.size(pid).descriptors == 4


def test_socket_that_processes_share_counts_once_and_nothing_else_does(child: Child) -> None:
    """Such as a connection, which is no other one in a child that was forked for it."""
    code = """
import os, socket, sys
pair = socket.socketpair()
ready = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        own = socket.socket()
        os.write(ready[1], b".")
        sys.stdin.read()
        os._exit(0)
    os.read(ready[0], 1)
print("done", flush=True)
sys.stdin.read()
os._exit(0)
"""
    assert process.count_sockets(child(BURN.format(seconds=0)).pid) == 0
    assert process.count_sockets(child(code).pid) == 2 + 2


def test_process_that_is_gone_has_no_size_and_no_descriptors(gone: int) -> None:
    assert process.size(gone) == (0, 0, 0)
    assert process.pss_kb(gone) == 0
    assert process.count_descriptors(gone) == 0
    assert process.count_sockets(gone) == 0
    assert process.tree(gone) == [gone]
