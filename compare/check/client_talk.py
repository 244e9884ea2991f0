"""A TCP client in use: what is typed is sent, and what comes is shown."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator

from compare.check import symptoms
from compare.check.catalogue import check
from compare.check.client_bench import ClientBench
from compare.check.failure import Failed, must_equal, shown
from compare.check.wire import PIECE, Wire

SMALL_BUFFER = 4096  # of the server, so that not much is on its way
MUCH = 16 * 1024 * 1024  # more than both kernels keep
COLUMNS = 1000
FILE_LINES = 3000
CUT = "h\u00e9llo \u4f60\u597d"  # characters of two and of three bytes


def _greet(bench: ClientBench, wire: Wire) -> None:
    """The server says a line, which comes on the screen: the client listens by now."""
    word = bench.word()
    bench.say(wire, f"{word}\n".encode())
    bench.must_show(word, "what the server says to be shown")


def _lines(bench: ClientBench, many: int) -> bytes:
    return "".join(f"{bench.word()}\n" for _ in range(many)).encode()


@check(
    "cl/1",
    "client",
    what="Types a line, and another one when the first has come; each must be sent at once, with "
    "its line end.",
    why="It is what a client is for; and without its end the other side cannot know that a line "
    "is over.",
    mistake="input() and strip() take the line end away: put it back. A stream that is buffered "
    "waits for more until flush().",
    calls="read(2), send(2).",
)
def sends_a_line(bench: ClientBench) -> None:
    wire = bench.meet()
    what = "the line that was typed, with its end"
    first, second = _lines(bench, 1), _lines(bench, 1)
    bench.type(first)
    bench.must_hear(wire, first, what)
    bench.type(second)
    came = wire.poll(bench.patience, write=False)[0]
    if not came and bench.ending() is None:
        actual = f"the first one came, and of the second one nothing within {bench.patience:.1f} s"
        raise Failed(what, actual, likely=symptoms.TAKES_TURNS)
    bench.must_hear(wire, second, what)


@check(
    "cl/2",
    "client",
    what="The server speaks first, and again later; each line must be shown at once, though nobody "
    "has typed anything.",
    why="Many protocols begin with the server's greeting, and news does not wait for questions.",
    mistake="A loop that types and listens in turn: wait for both, by epoll(7), or by a thread "
    "each. Or what is shown stays in a buffer: flush().",
    calls="epoll_wait(2), poll(2), select(2): of the keyboard and of the socket.",
)
def shows_at_once(bench: ClientBench) -> None:
    wire = bench.meet()
    _greet(bench, wire)
    _greet(bench, wire)


@check(
    "cl/3",
    "client",
    what="Types three lines in one go, as a pipe does, or a paste into a terminal without line "
    "mode; all three must be sent, though no key is touched after that.",
    why="What is read ahead is in the program's own buffer, of which the kernel knows nothing.",
    mistake="epoll(7) with input() or readline(): that reads all three and gives one, and the "
    "descriptor is not readable any more. Use read(2) and find the lines yourself.",
    calls="read(2): os.read(0, 65536); epoll_wait(2).",
    needs="cl/1",
)
def sends_all_lines(bench: ClientBench) -> None:
    wire = bench.meet()
    lines = _lines(bench, 3)
    bench.type(lines)
    bench.must_hear(wire, lines, "all three lines")


@check(
    "cl/4",
    "client",
    what="The server sends a line of UTF-8 in segments, each cut within a character; the line must "
    "be shown whole.",
    why="A stream is cut anywhere: what recv() returns is neither a line nor a text.",
    mistake="decode() of each piece: keep what is incomplete (codecs.getincrementaldecoder), or "
    "write the bytes as they came.",
    calls="recv(2); utf-8(7).",
    needs="cl/2",
)
def shows_characters_whole(bench: ClientBench) -> None:
    wire = bench.meet()
    _greet(bench, wire)
    since = len(bench.program.screen)
    line = f"{CUT} {bench.word()}\n".encode()
    with contextlib.suppress(Failed):  # it has gone, which is told below
        for piece in (line[:2], line[2:8], line[8:12], line[12:]):
            bench.say(wire, piece)
            wire.wait_until_delivered()
            # So that it is not read together with the next one.
            bench.program.screen.wait(lambda came: False, bench.soon_s / 3)
    _must_add_nothing(bench, line, since)
    for character in CUT:
        if character != " ":
            bench.must_show(character, f"the characters of {CUT!r}, each in one piece", since=since)
    bench.must_show(line.decode().split()[-1], "the rest of the line", since=since)


def _must_add_nothing(bench: ClientBench, line: bytes, since: int) -> None:
    """To each piece, such as a line end; what is not shown at all is told elsewhere."""
    text, screen = line.strip(), bench.program.screen
    word = text.split()[-1]
    screen.wait(lambda came: word in came.replace(b"\n", b""), bench.patience, since)
    came = screen.since(since)
    if text not in came and text in came.replace(b"\n", b""):
        what, actual = f"the characters of {CUT!r}, each in one piece", f"{shown(came)} was shown"
        raise Failed(what, actual, likely=symptoms.PIECES_AS_LINES)


def _last_words(bench: ClientBench, keyboard: str) -> None:
    wire = bench.meet("terminal" if keyboard == "terminal" else "pipe")
    line = _lines(bench, 1)
    bench.type(line)
    bench.must_hear(wire, line, "what was typed before the end")
    bench.end_input()
    wire.poll(bench.soon_s, write=False)  # a half-close is no must, but whoever makes one is heard
    bench.program.ends_within(bench.soon_s)
    word = bench.word()
    try:
        bench.say(wire, f"{word}\n".encode())
        wire.half_close()
    except Failed:  # a reset: it has gone without the last words
        pass
    bench.must_show(word, "the last words of the server to be shown")
    bench.must_end("it to end, as both sides have")
    bench.must_be_brief("all is over", word=False)


@check(
    "cl/5",
    "client",
    what="The input ends (Ctrl-D) and the server answers a moment later and closes; its last words "
    "must be shown before the client ends, without a trace of calls.",
    why="Who has nothing more to say still wants the answer.",
    mistake="Closing, or EOFError, at the end of the input: shutdown(SHUT_WR) tells the server, "
    "and reading goes on until recv() returns 0.",
    calls="read(2): 0 is the end; shutdown(2): SHUT_WR.",
    needs="cl/1",
)
def shows_last_words(bench: ClientBench) -> None:
    _last_words(bench, "pipe")


@check(
    "cl/5-tty",
    "client",
    what="At a terminal, where more could be typed after it, the input ends by Ctrl-D; the server "
    "then says its last words and ends, and they must be shown, and the client end.",
    why="It is how people end a client, and a terminal is no pipe: it hangs up for nobody.",
    mistake="Reading on after read() has returned 0, which waits for keys again.",
    calls="termios(3): VEOF; isatty(3).",
    needs="cl/5",
)
def shows_last_words_at_a_terminal(bench: ClientBench) -> None:
    _last_words(bench, "terminal")


@check(
    "cl/9",
    "client",
    what="Types up to 16 MiB while the server does not read, and then lets it speak: that must be "
    "shown. When the server reads, all that was typed must come.",
    why="When the other side is slow, send() waits or takes a part: neither must stop the reading.",
    mistake="One thread that waits in sendall() and listens no more; or what send() did not take "
    "is dropped. Keep the rest, wait for EPOLLOUT, and leave the keyboard alone meanwhile.",
    calls="send(2): EAGAIN, and fewer bytes than asked for; epoll_wait(2): EPOLLOUT.",
    needs="cl/2 cl/3",
)
def listens_while_it_cannot_send(bench: ClientBench) -> None:
    wire = bench.meet(receive_buffer=SMALL_BUFFER)
    typing = _Typing(bench)
    before = -1
    while typing.typed > before:  # what is heard may give a sender that waits some more room
        before = typing.typed
        typing.until_stuck(bench.soon_s)
        word = bench.word()
        bench.say(wire, f"{word}\n".encode())
        bench.must_show(word, "what the server says to be shown while it does not read")
    what = "all that was typed, once the server reads"
    came, quiet_since = bytearray(), time.monotonic()
    while len(came) < typing.typed or typing.within_a_line():
        typing.finish_line()
        if wire.poll(0.01, write=False)[0]:
            try:
                piece = wire.receive_some(PIECE)
            except Failed as failure:
                raise Failed(what, f"{len(came):,} bytes came, then {failure.actual}") from None
            if not piece:
                break
            came += piece.replace(b"\r", b"")
            quiet_since = time.monotonic()
        elif time.monotonic() > quiet_since + bench.patience:
            break
    try:
        must_equal(came, typing.text(), what)
    except Failed as differs:
        raise Failed(what, differs.actual, differs.at_byte) from None


class _Typing:
    """Long lines, typed one after the other as far as they are read."""

    def __init__(self, bench: ClientBench) -> None:
        self._bench = bench
        self._line = (bench.word() * COLUMNS)[: COLUMNS - 9]
        self._text = bytearray()
        self._lines = self._numbered()
        self.typed = 0

    def _numbered(self) -> Iterator[bytes]:
        for number in range(MUCH // COLUMNS):
            yield f"{number:08d}{self._line}\n".encode()

    def text(self) -> bytes:
        return bytes(self._text)

    def within_a_line(self) -> bool:
        return self.typed < len(self._text)

    def finish_line(self) -> None:
        if self.within_a_line():
            self._go_on(0.0)

    def until_stuck(self, quiet: float) -> None:
        for line in itertools.chain((b"",), self._lines):
            self._text += line
            while self.within_a_line():
                if not self._go_on(quiet):
                    self._bench.timeline.note("keyboard", "is full", f"{self.typed:,} bytes")
                    return

    def _go_on(self, quiet: float) -> int:
        left = memoryview(self._text)[self.typed :]
        try:
            with left:
                typed = self._bench.program.type_some(left, quiet)
        except BrokenPipeError:
            raise Failed("the client to hear its keyboard", "it has closed it") from None
        self.typed += typed
        return typed


@check(
    "cl/10",
    "client",
    what="The input is a file; all of it must be sent, and the answer shown before the client "
    "ends.",
    why="`client < file` is how a client is used by other programs.",
    mistake="epoll_ctl() refuses a regular file with EPERM, since it never waits: read it without "
    "asking epoll. Or the end of the file is taken for the end of all.",
    calls="epoll_ctl(2): EPERM.",
    needs="cl/3 cl/5",
)
def sends_a_file(bench: ClientBench) -> None:
    lines = _lines(bench, FILE_LINES)
    wire = bench.meet(lines)
    bench.must_hear(wire, lines, "the whole file")
    wire.poll(bench.soon_s, write=False)
    word = bench.word()
    try:
        bench.say(wire, f"{word}\n".encode())
        wire.half_close()
    except Failed:  # a reset, as above
        pass
    bench.must_show(word, "the answer to the file to be shown")
    bench.must_end("it to end, as both sides have")
    bench.must_be_brief("all is over", word=False)


@check(
    "cl/12",
    "client",
    what="Looks at the client's CPU time while there is nothing to do: nobody types, the server "
    "does not read, the input has ended, the server has closed its side.",
    why="A client is open all day, and a loop that never waits takes a whole core.",
    mistake="A descriptor at its end, or one that is not to be read now, is left with the poller, "
    "which tells of it again and again: EPOLLHUP of a pipe cannot be masked.",
    calls="epoll_ctl(2): EPOLL_CTL_DEL, EPOLLONESHOT, EPOLLHUP.",
)
def rests(bench: ClientBench) -> None:
    bench.meet(receive_buffer=SMALL_BUFFER)
    bench.must_rest_or_end("while nobody types")
    _Typing(bench).until_stuck(bench.soon_s)
    bench.must_rest_or_end("while the server does not read")
    bench.meet()
    bench.end_input()
    bench.must_rest_or_end("after the end of the input")
    bench.meet().half_close()
    bench.must_rest_or_end("after the server has closed its side")
