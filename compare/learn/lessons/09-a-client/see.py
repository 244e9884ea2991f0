"""Three lines that arrive at once, and where they are when select() says that there is nothing."""

import fcntl
import os
import select
import struct
import termios

reading, typing = os.pipe()
stdin = os.fdopen(reading)  # text, with a buffer, as sys.stdin is


def look(what):
    ready = "something" if select.select([reading], [], [], 0)[0] else "nothing"
    (waiting,) = struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))
    print(f"{what:34}select(): {ready:11}kernel: {waiting:2} bytes")


os.write(typing, b"one\ntwo\nthree\n")
look("three lines come in one write:")
look(f"stdin.readline() = {stdin.readline()!r}")
print("two lines are in the buffer of stdin, of which the kernel knows nothing")
os.write(typing, b"four\n")
look("somebody types a fourth:")
look(f"stdin.readline() = {stdin.readline()!r}")
print()

reading, typing = os.pipe()
os.write(typing, b"one\ntwo\nthree\n")
look("the same, in a new pipe:")
look(f"os.read() = {os.read(reading, 65536)!r}")
print()

accent = "é".encode()
for piece in (accent[:1], accent[1:]):
    try:
        print(f"{piece!r}.decode() = {piece.decode()!r}")
    except UnicodeDecodeError as error:
        print(f"{piece!r}.decode(): {error.reason}")
