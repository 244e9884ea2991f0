"""select, poll and epoll tell the same, whatever is watched and whatever becomes of it."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import needs_descriptors

from blocking import on_epoll, on_poll, on_select, readiness
from blocking.poller import ERR, HUP, IN, OUT, Poller

PAIRS = 3
LOTS = bytes(8 * 1024 * 1024)  # more than a socket pair's buffers hold
WANTED = (0, IN, OUT, IN | OUT)
# On what pair, and what: watch, watch for something else, no longer; or the other end does it.
STEPS = st.lists(
    st.tuples(
        st.integers(0, PAIRS - 1),
        st.one_of(
            st.tuples(st.sampled_from(["register", "modify"]), st.sampled_from(WANTED)),
            st.sampled_from(
                [(each, 0) for each in ("unregister", "say", "read", "fill", "hang up", "close")]
            ),
        ),
    ),
    max_size=25,
)


@pytest.fixture(scope="module", autouse=True)
def _limit_is_put_back():
    """Who waits with select() lowers the limit of its process."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _told(poller: Poller, watched: dict[int, int]) -> dict[int, int]:
    """What it tells within what was asked for: hang-ups are told in different ways."""
    events = dict(poller.poll(0.0))
    assert events.keys() <= watched.keys()
    told = {}
    for fd, each in events.items():
        if each & (ERR | HUP):
            each |= IN | OUT
        if each & watched[fd]:
            told[fd] = each & watched[fd]
    return told


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_all_pollers_tell_the_same(steps) -> None:
    with contextlib.ExitStack() as stack:
        pollers = [kind() for kind in (on_select.Poller, on_poll.Poller, on_epoll.Poller)]
        for each in pollers:
            stack.enter_context(contextlib.closing(each))
        pairs = [socket.socketpair() for _ in range(PAIRS)]
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
            stack.callback(ours.close)
            stack.callback(theirs.close)
        watched: dict[int, int] = {}
        for number, (what, wanted) in steps:
            ours, theirs = pairs[number]
            fd = ours.fileno()
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                if what == "register" and fd >= 0 and fd not in watched:
                    watched[fd] = wanted
                    for each in pollers:
                        each.register(fd, wanted)
                elif what == "modify" and fd in watched:
                    watched[fd] = wanted
                    for each in pollers:
                        each.modify(fd, wanted)
                elif what == "unregister" and fd in watched:
                    del watched[fd]
                    for each in pollers:
                        each.unregister(fd)
                elif what == "say" and theirs.fileno() >= 0:
                    theirs.send(b"x")
                elif what == "read" and fd >= 0:
                    ours.recv(65536)
                elif what == "fill" and fd >= 0:
                    while ours.send(LOTS):
                        pass
                elif what == "hang up":
                    theirs.close()
                elif what == "close" and fd in watched:
                    del watched[fd]
                    # The first closes it; to the others it is told with a duplicate.
                    for each in pollers[:2]:
                        each.unregister(fd)
                    pollers[2].close_socket(ours)
            first, *others = [_told(each, watched) for each in pollers]
            assert all(each == first for each in others), what


def test_closed_socket_is_no_longer_watched_and_its_number_may_be_used_again() -> None:
    for kind in (on_select.Poller, on_poll.Poller, on_epoll.Poller):
        with contextlib.closing(kind()) as poller:
            ours, theirs = socket.socketpair()
            poller.register(ours.fileno(), IN)
            number = ours.fileno()
            poller.close_socket(ours)
            theirs.close()
            again, other = socket.socketpair()
            with again, other:
                assert number in (again.fileno(), other.fileno())
                assert list(poller.poll(0.0)) == []
                poller.register(number, IN)


def test_wait_ends_when_there_is_something_or_the_time_is_over() -> None:
    for kind in (on_select.Poller, on_poll.Poller, on_epoll.Poller):
        with contextlib.closing(kind()) as poller:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                poller.register(ours.fileno(), IN)
                assert list(poller.poll(0.001)) == []
                theirs.send(b"x")
                assert list(poller.poll(None)) == [(ours.fileno(), IN)]


@needs_descriptors(on_select.FD_SETSIZE + 1)
def test_who_waits_with_select_is_given_no_descriptor_that_it_cannot_watch() -> None:
    code = (
        "import os; from blocking.on_select import Poller, FD_SETSIZE; Poller()\n"
        "try:\n"
        "    while True: last = os.dup(0)\n"
        "except OSError as error: print(last == FD_SETSIZE - 1, error.strerror)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True Too many open files\n"


def test_events_have_the_numbers_that_the_kernel_gives_them() -> None:
    ours = [IN, OUT, ERR, HUP]
    assert ours == [select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP]
    assert ours == [select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP]


def test_they_differ_in_nothing_but_the_poller() -> None:
    """What a reader's diff of the three shows."""
    for module in (on_select, on_poll, on_epoll):
        own = {name for name in vars(module.StreamServer) if not name.startswith("__")}
        assert own == {"make_poller"}
        assert module.StreamServer.__bases__ == (readiness.StreamServer,)
