"""The smoke test: whether the server speaks the protocol at all, before anything else is asked."""

from __future__ import annotations

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.catalogue import SERVERS, SMOKE, check
from compare.check.failure import Failed

HELLO = b"hello\n"  # a whole line, for who waits for one: that this is wrong is tcp/2's to say


@check(
    SMOKE,
    *SERVERS,
    what="Says hello; there must be an answer, whatever it is. Of a chat: connects; it must be "
    "greeted.",
    why="A server of another protocol, or one that nobody hears, fails everything else, too, and "
    "none of that would say why.",
    mistake="It is no server of this --profile, or it answers nobody: no loop around accept() or "
    "recvfrom(), output that stays in a buffer, an error right at the first client.",
    calls="socket(2), bind(2), listen(2), accept(2), recv(2), send(2).",
)
def smoke(bench: Bench) -> None:
    if bench.place.scheme == "udp":
        _ask_by_datagram(bench)
        return
    wire = bench.connect()
    if bench.subject.profile != "tcp-echo":
        bench.greet(wire)
        return
    wire.send(HELLO)
    if not wire.receive_some():
        actual = "the end came, and nothing before it"
        raise Failed("an answer to hello", actual, likely=symptoms.CLOSED_UNANSWERED)


def _ask_by_datagram(bench: Bench) -> None:
    sock = bench.datagrams()
    bench.timeline.note("client", f"send({len(HELLO)})")
    try:
        sock.send(HELLO)
        bench.timeline.note("client", "recv()", str(len(sock.recv(65536))))
    except OSError as error:
        said = f"nothing came within {bench.patience:.1f} s"
        if not isinstance(error, TimeoutError):
            said = f"recv() said {error.strerror or error}"
        raise Failed("an answer to hello", said, likely=symptoms.UNANSWERED) from None
