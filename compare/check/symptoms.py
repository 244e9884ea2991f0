"""What a failure shows by itself, whichever check meets it: one symptom, one explanation."""

from __future__ import annotations

RESET = (
    "A reset where the end belongs: close() with input that was not read, or with SO_LINGER 0, "
    "sends RST and not FIN, and what the client has not read yet is lost. Read until recv() "
    "returns 0, send what is pending, and close() without SO_LINGER."
)
NO_END = (
    "Not closing when the client has closed its side: recv() has returned 0, and all is sent. "
    "tcp/4 asks for just this."
)
CHANGED = (
    "What comes back is not what was sent, to anybody: make tcp/1, tcp/2 and tcp/20 to tcp/22 pass "
    "first, or udp/1 and udp/7. If they do, it is what could not be sent at once: send() takes "
    "only some of it, and the rest is yours to keep."
)
ADDED = (
    "Something comes that no client has sent: a greeting, a prompt, a word before or after each "
    "message, a line end or a NUL that is added. An echo is what came, and nothing else."
)
CLOSED = (
    "The server ends a connection that its client goes on using: a byte or a word taken for a "
    "command, an exception, a limit. tcp/20 to tcp/22 ask for just these."
)
ENDED = (
    "An ordinary client has ended the whole server: the calls below show what it did. Resets, "
    "early ends, urgent bytes and refused answers have checks of their own: tcp/6, tcp/17, "
    "tcp/18, udp/6."
)
SILENT = (
    "A message alone is not answered: the server waits for more, such as a line end, a full buffer "
    "or the client's end, or it keeps what it writes in a buffer that nobody flushes. tcp/2 and "
    "tcp/20 ask for just this."
)
UNANSWERED = (
    "A datagram is not answered, though its client waits and nobody else asks: it is dropped, or "
    "counted against a limit; or its answer goes to another client, such as the first one that "
    "asked (connect(2)), or is sent by another socket, whose port its client does not know."
)
COUNTED = (
    "One client of thousands is not served, though each leaves before the next ones come: a count "
    "of connections that only goes up, or descriptors, threads or slots that are not given back."
)
LISTENS = (
    "A child process that has inherited the listening socket and lives on: close it in the child, "
    "and end the children, too."
)
GOES_ON = (
    "SIGTERM does not end it: an interruption that is caught and forgotten, or a thread that "
    "nobody tells. life/1 asks for just this."
)
WAITS = "One client is not served while others are: make tcp/5 and tcp/9 pass first."
UNGREETED = (
    "A client that has connected is not greeted: the server waits for something else meanwhile, "
    "such as the name of another one, or takes fewer than ten. Accept newcomers and wait for names "
    "at the same time."
)
SAID = (
    "What is said reaches the others, but not as `[name] text` and nothing else: a time, other "
    "brackets, a colon. chat/10 asks for just this."
)
UNHEARD = (
    "The room does not say to all who came, who left, and what was said: make chat/6, chat/9 and "
    "chat/10 pass first."
)
OTHERS = (
    "A buffer that several clients share: one global array for recv(), or one that is filled anew "
    "before what is in it has been sent. Give each connection its own, or copy what is unsent."
)
SWAPPED = (
    "Byte order: x86 and ARM keep the smallest byte first, the network has the largest one first. "
    "struct with '<' or '=', or ntohl() forgotten: 00 00 00 05 is 5, and read the other way round "
    "83,886,080, for so many bytes such a server waits. fr/3 asks for just this."
)
UNHEEDED = {
    "frames": "The simplest frame is not answered as docs/protocols.md has it: make fr/1, and fr/3 "
    "for its byte order, pass first.",
    "later": "A line that is due at once is not answered as docs/protocols.md has it: make later/1 "
    "pass first.",
}
