"""A UDP client: each line typed is a question, asked again until it is answered.

The server is an echo: a datagram's answer is the same bytes, which is how a client can tell the
answer to this question from that to another one.
"""

from __future__ import annotations

import select
import socket
import time

from compare.check.bench import END_S
from compare.check.catalogue import check
from compare.check.client_bench import LARGEST, ClientBench, Question
from compare.check.failure import Failed
from compare.host.launch import LaunchError
from compare.host.place import Place

ASKS_AGAIN_S = 10.0  # within which a client must have asked again
LONGER = 3  # times as long as the last wait the next one may be: RFC 8085, 3.1.1 doubles it
GIVES_UP_S = 60.0  # who doubles its wait from a second on has asked six times by then
STEP_S = 0.02
LARGE = 1472  # bytes: what one Ethernet frame holds beside the headers


class _Server:
    """The server of a client's questions, whose answers are the same bytes."""

    def __init__(self, bench: ClientBench) -> None:
        self.bench = bench
        self.sock = bench.datagrams()
        self.asked_s: float | None = None  # when the last datagram came
        bench.begin(Place("udp", *self.sock.getsockname()))

    def ask(self, text: str) -> Question:
        """Type a question, and wait until it comes. Raises LaunchError if that is the first one."""
        first = self.asked_s is None
        try:
            self.bench.type(f"{text}\n".encode())
        except Failed:  # it has closed its keyboard, or is gone already
            if first and self.bench.program.ends_within(END_S):
                raise LaunchError(self.bench.not_seen("asked", self.bench.ending())) from None
            raise
        within = self.bench.start_s if first else self.bench.patience
        question = self.next(text, within)
        if question is None:
            ending = self.bench.ending()
            if first:
                raise LaunchError(self.bench.not_seen("asked", ending))
            raise Failed("the line that was typed as a datagram", "nothing came")
        return question

    def next(self, text: str, within: float) -> Question | None:
        """The next datagram with this in it; None if none comes, or the client ends."""
        until = time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.sock], [], [], min(left, STEP_S))[0]:
                if self.bench.ending():
                    return None
                continue
            data, sender = self.sock.recvfrom(LARGEST)
            if text.encode() in data:
                self.bench.timeline.note("server", f"recvfrom() = {len(data)}", f"{sender[1]}")
                self.asked_s = time.monotonic()
                return Question(data, sender)
        return None

    def must_ask_again(self, text: str, what: str, within: float) -> Question:
        question = self.next(text, within)
        if question is None:
            ended = self.bench.ending()
            raise Failed(
                what, f"nothing came within {within:.0f} s" if not ended else "nothing came"
            )
        return question

    def answer(self, question: Question, sock: socket.socket | None = None) -> None:
        who = "a stranger" if sock else "server"
        self.bench.timeline.note(who, f"sendto({len(question.data)})", f"{question.sender[1]}")
        (sock or self.sock).sendto(question.data, question.sender)

    def must_be_shown(self, question: Question, text: str) -> None:
        """Answer, and it comes on the screen; also where what is typed is there already."""
        since = len(self.bench.program.screen)
        self.answer(question)
        self.bench.must_show(text, "the answer to be shown", since=since)


def _patient(bench: ClientBench, seconds: float) -> float:
    return max(seconds, bench.patience)


@check(
    "uc/1",
    "udp-client",
    what="Types a question; its answer, or the question itself, is lost twice. It must be asked "
    "again within 10 s, and after at most three times as long again; the third answer must be "
    "shown.",
    why="UDP loses datagrams and tells nobody; whoever needs an answer must ask again.",
    mistake="recvfrom() without a time limit waits for ever: settimeout(), or poll() with one, and "
    "send again.",
    calls="sendto(2), recvfrom(2), poll(2); socket(7): SO_RCVTIMEO; RFC 8085, 3.1.1.",
)
def asks_again(bench: ClientBench) -> None:
    server, text = _Server(bench), bench.word()
    server.ask(text)
    began = time.monotonic()
    server.must_ask_again(text, "the question again", _patient(bench, ASKS_AGAIN_S))
    waited = _patient(bench, LONGER * (time.monotonic() - began))
    question = server.must_ask_again(text, "the question a third time", waited)
    server.must_be_shown(question, text)


@check(
    "uc/2",
    "udp-client",
    what="The same bytes come from another port than was asked, and must not be shown; then they "
    "come from the right one, and must be.",
    why="Anybody can send to any port: who takes it from everybody believes everybody.",
    mistake="recvfrom() whose second result nobody looks at: compare it with the server's address, "
    "or connect() the socket, so that the kernel does.",
    calls="recvfrom(2): src_addr; connect(2): of a datagram socket.",
)
def hears_nobody_else(bench: ClientBench) -> None:
    server, text = _Server(bench), bench.word()
    question, since = server.ask(text), len(bench.program.screen)
    server.answer(question, bench.datagrams())
    if bench.program.screen.wait(lambda came: text.encode() in came, bench.soon_s, since):
        raise Failed("nothing from another port to be taken", "it was shown as the answer")
    server.must_be_shown(question, text)


@check(
    "uc/3",
    "udp-client",
    what="After an answered question the next one is asked; first comes the answer to the one "
    "before once more, as of a datagram that was late, and then the right one, which alone must "
    "be shown.",
    why="Who has asked twice may be answered twice, and the second answer comes when another "
    "question is open.",
    mistake="Whatever comes first is taken for the answer: it must say what it answers. Here it "
    "is the question's own bytes; a client may put a number into each.",
    calls="recvfrom(2): read on until it is the right one, or the time is over.",
)
def takes_no_late_answer(bench: ClientBench) -> None:
    server, first, second = _Server(bench), bench.word(), bench.word()
    before = server.ask(first)
    server.must_be_shown(before, first)
    now, since = server.ask(second), len(bench.program.screen)
    server.answer(before)
    server.answer(now)
    texts = [each.encode() for each in (first, second)]
    screen = bench.program.screen
    screen.wait(lambda came: any(each in came for each in texts), bench.patience, since)
    if texts[0] in screen.since(since):
        what = "the answer to the question before to be taken for none"
        raise Failed(what, "it was shown once more")
    bench.must_show(second, "the right answer to be shown", since=since)


@check(
    "uc/4",
    "udp-client",
    what="Types a question of 1,472 bytes; it must come in one datagram, and the answer be shown "
    "whole.",
    why="It is what one Ethernet frame carries, so that it is quite common.",
    mistake="recvfrom(1024) takes the first 1,024 bytes of a datagram, and the rest is lost "
    "without a word: give it 65,535.",
    calls="recvfrom(2), recvmsg(2): MSG_TRUNC; udp(7).",
)
def takes_large_ones(bench: ClientBench) -> None:
    server = _Server(bench)
    text = "".join(bench.word() for _ in range(LARGE // 12 + 1))[:LARGE]
    server.must_be_shown(server.ask(text), text)


@check(
    "uc/5",
    "udp-client",
    what="Nobody is at the port, so that the question is refused; the input ends after it. The "
    "client must say so in a line or a few, without a trace of calls, and end with a status that "
    "is not 0.",
    why="It is the one failure that UDP tells of, and scripts look at the status.",
    mistake="ECONNREFUSED, which the call after the sending gives, and which nobody catches; or "
    "asking again for ever; or status 0 without an answer.",
    calls="udp(7): ECONNREFUSED, of a connected socket; icmp(7); exit(3).",
)
def tells_of_a_refusal(bench: ClientBench) -> None:
    bench.begin(bench.closed_port())
    bench.type(f"{bench.word()}\n".encode())
    bench.end_input()
    within = bench.start_s + _patient(bench, GIVES_UP_S)
    status = bench.must_end("it to end, as nobody is at the port", within)
    bench.must_be_brief("nobody is at the port")
    if status == 0:
        raise Failed("an exit status that is not 0", "it was 0")


@check(
    "uc/6",
    "udp-client",
    what="Looks at the client's CPU time while nobody types, and while an answer is waited for.",
    why="Waiting is most of what a client does.",
    mistake="A socket that does not block, asked again and again whether there is something: "
    "wait in poll() or recvfrom() with a time limit.",
    calls="poll(2), recvfrom(2): EAGAIN.",
)
def rests_while_it_waits(bench: ClientBench) -> None:
    server, text = _Server(bench), bench.word()
    server.must_be_shown(server.ask(text), text)
    bench.must_rest_or_end("while nobody types")
    server.ask(bench.word())
    bench.must_rest_or_end("while an answer is waited for")
