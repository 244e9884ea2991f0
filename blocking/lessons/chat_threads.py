"""Chat, two threads for each member: why a lock, and why nobody may send under it.

The room is shared, so it needs a lock: while one thread goes through the members, another would
add one, and Python says "dictionary changed size during iteration"; or two newcomers would both
find the same name free.

But send() waits for a peer that does not read. With the lock held, one member who went for lunch
would stop everybody. So under the lock lines are only put into a queue of each member, which never
waits, and a second thread for each takes them from there and sends. Whose queue is full is dropped:
it does not read; or others talk so fast that its thread was not let run, which is as bad.

The rules are those of `aionet/protocol/chat.py`, but that control characters, broken UTF-8 and half
a line at the end are passed on. `blocking/threaded.py` has what else this lacks: limits on lines
and members, deadlines, a way to end, and a second thread only for who is slow.
"""

import contextlib
import queue
import socket
import sys
import threading

room: dict[bytes, "Member"] = {}  # by name
lock = threading.Lock()


class Member:
    def __init__(self, conn: socket.socket) -> None:
        self.conn = conn
        self.outbox: queue.Queue[bytes] = queue.Queue(10_000)  # lines; an empty one ends it

    def tell(self, line: bytes) -> None:
        """Without waiting."""
        try:
            self.outbox.put_nowait(line)
        except queue.Full:
            with contextlib.suppress(OSError):  # it is gone already
                self.conn.shutdown(socket.SHUT_RDWR)  # which ends both its threads

    def send(self) -> None:
        """What the second thread does."""
        with self.conn, contextlib.suppress(OSError):
            while line := self.outbox.get():
                self.conn.sendall(line)


def say(line: bytes, speaker: Member) -> None:
    """To all but the speaker; the lock is held."""
    for member in room.values():
        if member is not speaker:
            member.tell(line)


def enter(name: bytes, member: Member) -> bool:
    """Whether it could."""
    with lock:
        if not name.isalnum() or len(name) > 32 or name in room:
            member.tell(b"! that is no name, or somebody has it\n")
            return False
        member.tell(b"* The room contains: " + b", ".join(room) + b"\n")
        room[name] = member
        say(b"* " + name + b" has entered the room\n", member)
        return True


def serve(conn: socket.socket) -> None:
    member, name = Member(conn), b""
    threading.Thread(target=member.send, daemon=True).start()
    member.tell(b"* Welcome to the room. What is your name?\n")
    with contextlib.suppress(OSError), conn.makefile("rb") as lines:
        line = lines.readline(100)
        name = line.rstrip(b"\r\n") if line.endswith(b"\n") else b""  # too long, or cut off
        if enter(name, member):
            for line in lines:
                with lock:
                    say(b"[" + name + b"] " + line.rstrip(b"\r\n") + b"\n", member)
    with lock:
        if room.get(name) is member:
            del room[name]
            say(b"* " + name + b" has left the room\n", member)
    member.tell(b"")


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
