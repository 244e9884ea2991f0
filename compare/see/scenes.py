"""The scenes: what the clients, and we, do to a server, so that something can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from compare.host.limits import per_process
from compare.see.stage import Client, Stage

MOST = 1100  # connections that fill a queue; more take too long to look at
LATE = 3  # who come when it is full
WINDOW = 64 * 1024 * 1024  # bytes, more than any kernel keeps in between by default
LINE = b"hello\n"


class Scene(NamedTuple):
    """what: what is to be seen, in a sentence."""

    what: str
    play: Callable[[Stage], None]


def hello(stage: Stage) -> None:
    client = stage.client()
    client.connect()
    client.send(LINE)
    client.receive()
    client.finish()
    client.receive_all()
    client.close()


def handshake(stage: Stage) -> None:
    stage.stop()
    client = stage.client()
    client.connect()
    client.send(LINE)
    stage.go_on()
    client.receive()
    client.close()


def backlog(stage: Stage) -> None:
    stage.stop()
    first = stage.client()
    first.connect()
    queue = stage.watcher.queue
    room = queue.backlog - queue.waiting if queue else 0  # and one more: the kernel asks "more?"
    most = min(MOST, per_process() - LATE)
    if room > 0:
        stage.crowd(min(room, most))
    late = [stage.client() for _ in range(LATE)]
    for each in late:
        each.connect()
    if room > most and queue:
        stage.remarks.append(
            f"the queue takes {queue.backlog:,}, and {most:,} clients are as many as come: nobody "
            "is left out; try it with a shorter one"
        )
    stage.go_on()
    stage.until(lambda: all(each.ends.client.state != "SYN_SENT" for each in late))


def window(stage: Stage) -> None:
    stage.stop()
    client = stage.client()
    client.connect()
    client.fill(WINDOW)
    stage.go_on()
    stage.until(lambda: not client.ends.client.unsent)
    client.close()


def close(stage: Stage) -> None:
    client = stage.client()
    client.connect()
    stage.until(lambda: client.ends.server.held)
    stage.stop()  # or the four steps of it are over before one can look
    client.finish()
    stage.until(lambda: client.ends.client.state == "FIN_WAIT2")  # an ACK may be 40 ms late
    stage.go_on()
    client.receive_all()
    client.close()
    _served(other := stage.client(), stage)
    if not stage.terminate():
        stage.remarks.append(
            "the server did not end at SIGTERM while a client was there, which therefore closed "
            "first again"
        )
    other.receive_all()
    stage.until(lambda: other.ends.server.state != "FIN_WAIT1")
    other.close()


def _served(client: Client, stage: Stage) -> None:
    """It has connected, said a line and had its answer, so that nothing of it is unread."""
    client.connect()
    client.send(LINE)
    client.receive()
    stage.until(lambda: not client.ends.server.unread)


def reset(stage: Stage) -> None:
    client = stage.client()
    client.connect()
    stage.until(lambda: client.ends.server.held)
    stage.stop()  # so that it has not noticed yet
    client.reset()
    stage.go_on()
    unread = stage.client()
    unread.connect()
    unread.send(LINE)
    unread.until(unread.is_readable, stage.patience_s)
    unread.close()


def kill(stage: Stage) -> None:
    _served(idle := stage.client(), stage)
    _served(unread := stage.client(), stage)
    stage.stop()
    unread.send(LINE)
    stage.kill()
    stage.until(lambda: idle.ends.server.state != "FIN_WAIT1")
    idle.receive()
    unread.receive()
    idle.send(LINE)
    idle.send(LINE)
    stage.client().connect()


SCENES = {
    "hello": Scene(
        "one conversation: connect, a line, its answer, and the end. What is sent is in a queue "
        "until it is read, and who finishes first keeps TIME_WAIT.",
        hello,
    ),
    "handshake": Scene(
        "the kernel shakes hands: while the server stands still, both ends are ESTABLISHED and "
        "bytes arrive; accept() only takes from a queue.",
        handshake,
    ),
    "backlog": Scene(
        "who is connected and not accepted waits in a queue, as long as listen() said; when it is "
        "full the kernel hears nobody, who then tries again each second (SYN_SENT).",
        backlog,
    ),
    "window": Scene(
        "who does not read is not sent to: what is sent fills the Recv-Q of the one, then the "
        "Send-Q of the other, and send() takes no more.",
        window,
    ),
    "close": Scene(
        "each direction is closed by itself: FIN_WAIT2 at who closed first, CLOSE_WAIT at who has "
        "not yet; then TIME_WAIT at who closed first, the client and, at SIGTERM, the server.",
        close,
    ),
    "reset": Scene(
        "a reset takes both ends at once: no FIN_WAIT, no TIME_WAIT; close() with SO_LINGER 0 "
        "sends one, and so does close() with unread input.",
        reset,
    ),
    "kill": Scene(
        "what kill -9 leaves: the kernel closes for the dead, with FIN where all was read and "
        "with RST where bytes were not; who then sends is reset, and who connects is refused.",
        kill,
    ),
}
