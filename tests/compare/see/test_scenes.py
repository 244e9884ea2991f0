"""Each scene shows what it says, with a server of a few lines; states, and no times."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable

import pytest

from compare.host.threads import CALLS
from compare.see.play import BlindError, DatagramsError, LaunchError
from compare.see.records import Row, Seen
from compare.see.scenes import SCENES

See = Callable[..., Seen]
pytestmark = pytest.mark.usefixtures("nothing_left")


def calls(seen: Seen) -> list[str]:
    return [f"{row.call} {row.result}".strip() for row in seen.rows if row.call]


def pairs(rows: Iterable[Row]) -> set[tuple[str, str]]:
    return {(row.client.state, row.server.state) for row in rows}


def since(seen: Seen, call: str) -> list[Row]:
    """From that call on."""
    (first, *_) = (at for at, row in enumerate(seen.rows) if row.call == call)
    return seen.rows[first:]


def test_hello_is_one_conversation_and_leaves_time_wait_with_who_finished_first(see: See) -> None:
    seen = see("hello")
    assert calls(seen) == [
        *("connect()", "send(6) 6", "recv() 6", "shutdown()", "recv() 0", "close()"),
    ]
    assert pairs(seen.rows[-1:]) == {("TIME_WAIT", "")}
    assert seen.rows[0].queue is not None
    assert seen.rows[0].queue.backlog == 5
    assert seen.remarks == []
    assert seen.left == {"LISTEN": 1, "TIME_WAIT": 1}


@pytest.mark.skipif(not CALLS, reason="no names of calls for this machine")
def test_threads_are_seen_in_the_call_they_sleep_in_and_for_whom(see: See) -> None:
    found = {(each.call, each.on) for row in see("hello").rows for each in row.threads}
    assert ("accept4", "listener") in found
    assert ("recvfrom", "1") in found


def test_handshake_and_bytes_need_no_server(see: See) -> None:
    seen = see("handshake")
    (sent,) = (row for row in seen.rows if row.call == "send(6)")
    assert pairs([sent]) == {("ESTABLISHED", "ESTABLISHED")}
    assert not sent.server.held  # nobody has accepted it
    assert sent.queue is not None
    assert sent.queue.waiting == 1
    assert {each.state for each in sent.threads} == {"T"}
    assert any(row.server.unread == 6 for row in since(seen, "send(6)"))
    assert any(row.server.held for row in since(seen, "SIGCONT"))


def test_backlog_leaves_in_syn_sent_who_comes_when_it_is_full(see: See) -> None:
    seen = see("backlog")
    full = [row for row in seen.rows if row.queue and row.queue.waiting > row.queue.backlog]
    assert ("SYN_SENT", "") in pairs(full)
    last = {row.connection: row for row in seen.rows}
    assert {row.client.state for number, row in last.items() if number} == {"ESTABLISHED"}


def test_window_stops_who_sends_until_the_server_reads(see: See) -> None:
    seen = see("window")
    (stuck,) = (row for row in seen.rows if row.call.startswith("send()"))
    assert stuck.client.unsent > 0
    assert stuck.server.unread > 0
    assert int(stuck.result) > stuck.server.unread


def test_close_is_seen_from_either_side(see: See) -> None:
    seen = see("close")
    assert ("FIN_WAIT2", "CLOSE_WAIT") in pairs(since(seen, "SIGSTOP"))
    assert ("TIME_WAIT", "") in pairs(since(seen, "SIGCONT"))
    assert pairs(since(seen, "SIGTERM")) >= {("CLOSE_WAIT", "FIN_WAIT2"), ("", "TIME_WAIT")}


DRAINS = """
import signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, lambda *_: listener.close())
while True:
    conn, _ = listener.accept()
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.close()
"""


def test_close_of_a_server_that_waits_for_its_clients_says_so(
    see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compare.see.play.PATIENCE_S", 0.5)
    seen = see("close", DRAINS)
    assert any("did not end at SIGTERM" in each for each in seen.remarks)


def test_reset_takes_both_ends_without_time_wait(see: See) -> None:
    seen = see("reset")
    (reset,) = (row for row in seen.rows if row.call == "close() RST")
    assert pairs([reset]) == {("", "CLOSE")}  # whose process holds it, and has not noticed
    assert pairs(seen.rows[-1:]) <= {("", ""), ("", "CLOSE")}
    assert "TIME_WAIT" not in seen.states()


def test_kill_leaves_a_fin_where_all_was_read_and_a_reset_where_it_was_not(see: See) -> None:
    seen = see("kill")
    killed = since(seen, "SIGKILL")
    assert ("CLOSE_WAIT", "FIN_WAIT2") in pairs(row for row in killed if row.connection == 1)
    assert pairs([row for row in killed if row.connection == 2][-1:]) == {("CLOSE", "")}
    assert calls(seen)[-5:] == [
        *("recv() 0", "recv() ECONNRESET", "send(6) 6", "send(6) EPIPE", "connect() ECONNREFUSED"),
    ]
    assert killed[-1].queue is None
    assert killed[-1].threads == []


SILENT = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
conn, _ = listener.accept()
while conn.recv(100):
    pass
"""


def test_a_server_that_does_not_answer_and_ends_is_seen_as_it_is(
    see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compare.see.play.PATIENCE_S", 0.5)
    seen = see("hello", SILENT)
    assert "recv() nothing" in calls(seen)
    assert seen.remarks == ["the server has ended: exit status 0"]


ONCE = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    conn, _ = listener.accept()
conn.sendall(conn.recv(65536))
"""


def test_a_server_of_one_client_is_not_used_up_by_who_looks_whether_it_is_there(see: See) -> None:
    seen = see("hello", ONCE)
    assert "recv() 6" in calls(seen)
    assert seen.remarks == ["the server has ended: exit status 0"]


def test_who_has_ended_already_is_killed_without_a_word(see: See) -> None:
    seen = see("kill", ONCE)
    assert seen.left.keys() <= {"TIME_WAIT", "FIN_WAIT2"}
    assert calls(seen)[-1] == "connect() ECONNREFUSED"


def test_who_reads_the_keyboard_is_not_at_the_end_of_it(see: See) -> None:
    reader = ECHO_BESIDE_A_KEYBOARD
    seen = see("hello", reader)
    assert "recv() 6" in calls(seen)
    assert seen.remarks == []


ECHO_BESIDE_A_KEYBOARD = """
import select, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
epoll = select.epoll()
epoll.register(0, select.EPOLLIN)
epoll.register(listener, select.EPOLLIN)
conns = {}
while True:
    for fd, _ in epoll.poll():
        if fd == 0:
            sys.exit("the keyboard has ended")
        if fd == listener.fileno():
            conn, _ = listener.accept()
            conns[conn.fileno()] = conn
            epoll.register(conn, select.EPOLLIN)
        elif data := conns[fd].recv(65536):
            conns[fd].sendall(data)
        else:
            epoll.unregister(fd)
            conns.pop(fd).close()
"""


@pytest.mark.parametrize("said", [True, False])
def test_a_server_of_datagrams_is_refused(see: See, said: bool) -> None:
    ready = "print(f'READY udp://127.0.0.1:{sys.argv[1]}', flush=True)\n" * said
    code = "import socket, sys\nsock = socket.socket(type=socket.SOCK_DGRAM)\n"
    code += f"sock.bind(('127.0.0.1', int(sys.argv[1])))\n{ready}sock.recv(1)"
    with pytest.raises(DatagramsError, match=r"it serves UDP.*see is for TCP"):
        see("hello", code)


def test_a_server_that_does_not_start_is_told_as_in_a_check(see: See) -> None:
    with pytest.raises(LaunchError, match="ended before it was ready: exit status 1; stderr: no"):
        see("hello", "import sys; sys.exit('no')")


def test_a_server_whose_processes_do_not_listen_cannot_be_stopped(see: See) -> None:
    """As one in a container: somebody else has the socket."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        code = f"import sys; print('READY tcp://127.0.0.1:{port}', flush=True); sys.stdin.read()"
        with pytest.raises(BlindError, match="it cannot be stopped"):
            see("handshake", code)


def test_each_scene_says_in_a_sentence_what_is_to_be_seen() -> None:
    for name, scene in SCENES.items():
        assert re.fullmatch(r"[a-z]+", name)
        assert scene.what.endswith(".")
        assert len(scene.what) < 230
        assert os.linesep not in scene.what
