"""Starting again, and starting where another one is: as servers of other people do it."""

from __future__ import annotations

import sys

import pytest

from compare.check import runner
from compare.check.bench import Subject
from compare.check.runner import Finding, run

pytestmark = pytest.mark.usefixtures("nothing_left")


def found(id_: str, code: str) -> Finding:
    subject = Subject("tcp-echo", (sys.executable, "-c", code, "{port}"))
    (finding,) = run(subject, [id_], 7, lambda text: None)
    return finding


FORKS = """
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, {reuse})
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(100)
while True:
    conn, _ = listener.accept()
    if os.fork() == 0:
        {closes}
        while data := conn.recv(65536):
            conn.sendall(data)
        os._exit(0)
    conn.close()
"""


@pytest.mark.parametrize(
    ("reuse", "closes", "state"),
    [(1, "listener.close()", "passed"), (0, "listener.close()", "failed"), (1, "", "failed")],
    ids=["right", "no-reuseaddr", "child-that-listens"],
)
def test_server_that_forks_may_serve_its_clients_on_while_it_starts_again(
    monkeypatch: pytest.MonkeyPatch, reuse: int, closes: str, state: str
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    code = FORKS.format(reuse=reuse, closes=closes or "pass")
    finding = found("tcp/19", code)
    assert finding.state == state, finding
    if not closes:
        assert "somebody still listens" in finding.actual


SAYS = """
import socket, sys, time
print("a banner", "of", "several", "lines", sep="\\n", flush=True)
listener = socket.socket()
time.sleep({starts_s})
try:
    listener.bind(("127.0.0.1", int(sys.argv[1])))
except OSError as error:
    print({said}, file=sys.{where})
    sys.exit(1)
listener.listen()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("said", "where", "state"),
    [
        ("'port', sys.argv[1], 'is taken'", "stderr", "passed"),
        ("'port', sys.argv[1], 'is taken'", "stdout", "passed"),
        ("'it is taken'", "stdout", "failed"),
        ("'no', 'words', 'but', sys.argv[1], sep='\\n'", "stderr", "failed"),
        ("'Traceback (most recent call last):\\n', sys.argv[1]", "stdout", "failed"),
    ],
)
def test_taken_port_is_named_wherever_the_server_says_its_words(
    said: str, where: str, state: str
) -> None:
    assert found("life/6", SAYS.format(said=said, where=where, starts_s=0)).state == state


def test_second_server_has_as_much_time_to_start_as_the_first_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.01)
    monkeypatch.setattr(runner, "slowness", lambda: 1.0)
    said = "'port', sys.argv[1], 'is taken'"
    assert found("life/6", SAYS.format(said=said, where="stderr", starts_s=0.5)).state == "passed"


SLOW_TO_FAIL = """
import socket, sys, time
def work():
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
try:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
except OSError:
    work()
    sys.exit(f"port {sys.argv[1]} is taken")
while True:
    listener.accept()
"""
NEVER_FAILS = SLOW_TO_FAIL.replace("    sys.exit", "    time.sleep(60)\n    sys.exit")


@pytest.mark.parametrize(("program", "state"), [(SLOW_TO_FAIL, "passed"), (NEVER_FAILS, "failed")])
def test_second_server_has_longer_while_it_is_at_work(
    program: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.1)
    monkeypatch.setattr(runner, "slowness", lambda: 1.0)
    finding = found("life/6", program)
    assert finding.state == state, finding


# By a thread: a handler of Python's waits until accept() returns, if the signal comes just before.
ENDS = """
import os, signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
end = lambda: os._exit({status} if signal.sigwait([signal.SIGTERM]) else 1)
threading.Thread(target=end, daemon=True).start()
"""
LISTENS = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    conn, _ = listener.accept()
    echo = lambda conn: conn.sendall(conn.recv(100))
    threading.Thread(target=echo, args=(conn,), daemon=True).start()
"""


@pytest.mark.parametrize(("status", "state"), [(0, "passed"), (143, "passed"), (1, "failed")])
def test_status_after_sigterm_may_be_that_of_a_shell(status: int, state: str) -> None:
    finding = found("life/1", ENDS.format(status=status) + LISTENS)
    assert finding.state == state, finding
