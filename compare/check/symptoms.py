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
    "What comes back is not what was sent, to anybody: make tcp/1, tcp/2 and tcp/20 pass first, or "
    "udp/1 and udp/7."
)
ENDED = (
    "An ordinary client has ended the whole server: the calls below show what it did. Resets, "
    "early ends, urgent bytes and refused answers have checks of their own: tcp/6, tcp/17, "
    "tcp/18, udp/6."
)
WAITS = "One client is not served while others are: make tcp/5 and tcp/9 pass first."
OTHERS = (
    "A buffer that several clients share: one global array for recv(), or one that is filled anew "
    "before what is in it has been sent. Give each connection its own, or copy what is unsent."
)
