"""Programs that do not start, or end, as a server should: `starts.py HOW`."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time

READY = b"READY tcp://127.0.0.1:7\n"
HOW = sys.argv[1]


def say(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def wait_until_read() -> None:
    """Until whoever has the other end of stdout has taken everything."""
    while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, bytes(4)))[0]:
        os.sched_yield()


def wait() -> None:
    threading.Event().wait()


def leave_a_session() -> None:
    """Of whoever forks twice: nobody is its parent any more, and it is in no group of ours."""
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        started = time.process_time()
        while time.process_time() < started + 0.3:
            pass
        wait()
    os.waitpid(child, 0)


def main() -> None:
    if HOW == "exits":
        os.write(2, b"no more ports\n")
        sys.exit(3)
    if HOW == "raises":
        raise KeyError("no such key")
    if HOW == "raises-several":
        raise ExceptionGroup("several", [ValueError("the first"), OSError("the last")])
    if HOW == "tcp-only":
        with socket.create_server(("127.0.0.1", int(sys.argv[2]))):
            wait()
    if HOW == "v6-only":
        with socket.create_server(("::1", int(sys.argv[2])), family=socket.AF_INET6):
            wait()
    if HOW == "by-name":  # of what listens at ::1 only
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            say(b"READY tcp://localhost:%d\n" % listener.getsockname()[1])
            wait()
    if HOW == "goes-into-the-background":
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        os.setsid()
        while os.getppid() == parent:
            time.sleep(0.01)
        with socket.create_server(("127.0.0.1", int(sys.argv[2]))):
            wait()
    if HOW == "leaves-a-session":
        leave_a_session()
    if HOW == "ends-orphans":  # as a server does that forks twice for each client
        for _ in range(20):
            if (child := os.fork()) == 0:
                os.fork()
                os._exit(0)
            os.waitpid(child, 0)
    if HOW == "watches-stdin":
        with select.epoll() as epoll:
            epoll.register(0, select.EPOLLIN)
            say(READY)
            epoll.poll()
            sys.exit(5)
    if HOW == "talks-on-stderr":
        os.write(2, b"a line that says nothing\n" * 100_000 + b"the end\n")
    if HOW == "ends-as-a-jvm":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if HOW == "exits-well":
        sys.exit(0)
    if HOW == "silent":
        os.write(2, b"still thinking\n")
        wait()
    if HOW == "closes-stdout":
        os.write(2, b"gone quiet\n")
        os.close(1)
        wait()
    if HOW == "floods":
        say(b"a line that says nothing\n" * 100_000)
    if HOW == "floods-forever":
        while True:
            say(b"a line that says nothing\n" * 1000)
    if HOW == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if HOW == "dies-strangely":
        os.kill(os.getpid(), signal.SIGRTMIN + 1)
    if HOW == "in-pieces":
        # Each piece alone looks like a message; the port is complete only with its line.
        for piece in (b"READY tcp://127.0.0.1:1", b"23", b"45\n"):
            say(piece)
            wait_until_read()
        wait()
    if HOW == "ipv6":
        say(b"READY tcp://[::1]:7\n")
        wait()
    if HOW == "leaves-a-child" and os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wait()
    if HOW == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(2, b"not yet\n")
    if HOW == "ends-badly":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(4))
    if HOW == "polite":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    say(READY)
    wait()


main()
