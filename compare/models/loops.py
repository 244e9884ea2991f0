"""Other event loops of asyncio's kind, each under the same servers as asyncio and uvloop."""

from __future__ import annotations

from typing import Any

from compare.models.model import Model

_ZLOOP = (
    "transports of zloop 0.0.1 have no is_reading(), so that who does not read, or has finished "
    "sending, is cut off"
)
_BLAZIO = (
    "blazio 0.1 loses data, or does not go on reading, where a peer that did not read goes on or "
    "has finished sending"
)
_RSLOOP = (
    "streams of rsloop 0.1 raise RuntimeError where the peer has reset, and no OSError, so that "
    "nobody learns of it"
)
_AIOFASTNET = (
    "aiofastnet 1.2 goes on watching the descriptor of a connection that was aborted in "
    "connection_made(), and does not hear the next one that has its number"
)
_NO_DATAGRAMS = "aionet reads datagrams from the socket, and of aiofastnet nothing would be in use"


def _loop(
    name: str,
    summary: str,
    loop: str = "",
    *,
    streams: bool = False,
    module: str | None = None,
    **more: Any,
) -> Model:
    """loop: its factory, if that is not NAME:new_event_loop. streams: by these, as its
    create_server() waits for the loop, and aionet, which pauses and resumes by it, does not.
    """
    shell = "compare.contenders.asyncio_streams" if streams else "aionet"
    command: tuple[str, ...] = ("-m", shell, "serve", "{service}", "--loop")
    command += (loop or f"{name}:new_event_loop",)
    if streams:
        more["cannot"] = {"udp-echo": "asyncio has no streams for datagrams"}
    else:
        command += ("--udp-rate", "none")
    return Model(name, summary, command, group="loops", module=module or name, **more)


LOOPS = (
    _loop(
        "aiofastnet",
        "aiofastnet's transports on asyncio's own loop (Cython)",
        "compare.contenders.fastnet:on_asyncio",
        cannot={"udp-echo": _NO_DATAGRAMS},
        exceptions=dict.fromkeys(("tcp/6", "tcp/7"), _AIOFASTNET),
    ),
    _loop(
        "aiofastnet-uvloop",
        "the same on uvloop",
        "compare.contenders.fastnet:on_uvloop",
        module="aiofastnet",
        cannot={"udp-echo": _NO_DATAGRAMS},
        exceptions=dict.fromkeys(("tcp/6", "tcp/7"), _AIOFASTNET),
    ),
    _loop("loopmini", "asyncio's own loop on a reactor in Rust (epoll)"),
    _loop(
        "blazio",
        "a loop in Zig, on zio (io_uring)",
        since=(3, 12),
        exceptions=dict.fromkeys(("tcp/3", "tcp/8"), _BLAZIO),
    ),
    _loop(
        "zloop",
        "a loop in Zig (epoll)",
        since=(3, 12),
        exceptions=dict.fromkeys(("tcp/3", "tcp/8", "tcp/9", "tcp/17", "tcp/24", "chat/4"), _ZLOOP),
    ),
    _loop("zuvloop", "libuv, by way of Zig", since=(3, 14)),
    _loop(
        "rsloop",
        "asyncio's streams on a loop in Rust, vibeio (io_uring)",
        streams=True,
        exceptions=dict.fromkeys(("tcp/17", "chat/6", "chat/8", "chat/14"), _RSLOOP),
        needs="its wheels are for glibc 2.39 or newer; elsewhere it takes Rust to build it",
    ),
    _loop(
        "talyn",
        "asyncio's streams on a loop in Zig (io_uring)",
        "talyn:Loop",
        streams=True,
        since=(3, 13),
        needs="it asks for Linux 7.0",
    ),
    _loop(
        "winloop",
        "uvloop made for Windows, built here (libuv)",
        needs="there is no wheel for Linux: it is compiled, which takes minutes",
    ),
)
