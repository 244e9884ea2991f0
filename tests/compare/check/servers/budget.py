"""Chat servers by the public statement: right ones in several wordings, and one mistake each.

    budget.py STYLE PORT
    budget.py MISTAKE PORT

All that a style may choose is in `Style`; where a mistake is made its name stands in the code.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """What the statement leaves to a server. refusal: None is no word, b"" a reset."""

    greeting: str = "Welcome to budgetchat! What shall I call you?"
    roster: Callable[[str, list[str]], str] = lambda me, names: (
        f"* The room contains: {', '.join(names)}"
    )
    came: str = "* {} has entered the room"
    left: str = "* {} has left the room"
    refusal: bytes | None = b"That is no name.\n"
    taken: str = "let in"  # or "refused", "asked again"
    name: int = 1000
    message: int = 100_000
    strips: bool = False
    end: str = "\n"


STYLES = {
    "plain": Style(),
    "terse": Style(
        "name?",
        lambda me, names: f"*{' '.join(names)}",
        "*+{}",
        "*-{}",
        refusal=None,
        name=16,
        message=1000,
        strips=True,
    ),
    "wordy": Style(
        "* Hello, stranger! And who might you be, if one may ask?",
        lambda me, names: f"* Good to see you, {me}! {len(names)} here: {' and '.join(names)}.",
        "* ~~~ {} walked in, and {} sat down ~~~",
        "* ~~~ and off goes {} ~~~",
        refusal=b"* Sorry, this is no name.\r\n* Good-bye!\r\n",
        taken="asked again",
        strips=True,
    ),
    "quoting": Style(
        ">",
        lambda me, names: f"* {sorted(names, reverse=True)}",
        "* JOIN '{}'",
        "* PART '{}'",
        refusal=b"* no",
        taken="refused",
        name=20,
    ),
    "counting": Style(
        "",
        lambda me, names: "* " + " ".join(f"{i}:{name};" for i, name in enumerate(names)) + " end",
        "* there is {} now",
        "* there is no {} any more",
        refusal=b"",
        end="\r\n",
    ),
}


class Room:
    """Who is in, and what is said to whom."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong
        self.style = STYLES.get(wrong, STYLES["plain"])
        self.members: dict[asyncio.StreamWriter, str] = {}
        self.connected: list[asyncio.StreamWriter] = []
        self.history: list[str] = []
        self.names: set[str] = set()  # that anybody ever had
        self.said = 0
        self.kept: list[object] = []
        self.asking = asyncio.Lock()

    def tell(self, writer: asyncio.StreamWriter, line: str) -> None:
        if not writer.is_closing():
            bare = self.wrong == "no line ends" and line.startswith("[")
            end = "" if bare else self.style.end
            writer.write((line + end).encode("latin-1", "replace"))

    def tell_others(self, me: asyncio.StreamWriter, line: str) -> None:
        all_ = self.connected if self.wrong == "tells the unnamed" else [*self.members]
        for writer in all_:
            name = self.members.get(me, " ")  # of one who leaves
            theirs = self.members.get(writer, "")
            alike = {"part of a name unheard": name in theirs, "left out by name": name == theirs}
            if writer is not me and alike.get(self.wrong):
                continue
            if writer is not me or self.wrong == "tells the sender":
                self.tell(writer, line)

    # Names.

    def is_legal(self, name: str) -> bool:
        wrong = self.wrong
        if wrong == "other alphabets":
            return name.encode("latin-1").decode(errors="replace").isalnum()
        if wrong == "upper case refused" and name != name.lower():
            return False
        if wrong == "digits first refused" and name[:1].isdigit():
            return False
        if wrong == "reserved names" and name in ("admin", "root"):
            return False
        if wrong == "names of objects refused" and name in ("constructor", "toString"):
            return False
        if wrong == "part of a name refused" and name in " ".join(self.members.values()):
            return False
        if wrong == "zero refused" and name == "0":
            return False
        if wrong == "short names refused" and len(name) < 2:
            return False
        if wrong == "names over 10 refused" and len(name) > 10:
            return False
        if wrong == "empty name" and not name:
            return True
        pattern = {
            "dashes accepted": "[A-Za-z0-9-]+",
            "underscores accepted": r"[A-Za-z0-9_]+",
            "beginning checked": "[A-Za-z0-9]+.*",
            "end checked": ".*[A-Za-z0-9]+",
            "blanks accepted": "[A-Za-z0-9 ]+",
            "ranges": "[A-z0-9]+",  # which has [ \ ] ^ _ ` in it
        }.get(wrong, "[A-Za-z0-9]+")
        return re.fullmatch(pattern, name) is not None and len(name) <= self.style.name

    def changed(self, name: str) -> str:
        """The name that it gets."""
        if self.wrong == "names lowered":
            return name.lower()
        if self.wrong == "names capitalized":
            return name.capitalize()
        if self.wrong == "names cut":
            return name[:12]
        if self.wrong == "names cleaned":
            return re.sub("[^A-Za-z0-9]", "", name)
        if self.wrong == "names stripped":
            return name.strip()
        return name

    # What is said.

    def relayed(self, text: str) -> str | None:
        """What the others hear; None is nothing."""
        wrong = self.wrong
        if wrong == "mentions swallowed" and text.startswith("@"):
            return None
        if wrong == "commands swallowed" and text.startswith("/"):
            return None
        if wrong == "stars swallowed" and text.startswith("*"):
            return None
        if wrong == "blank lines inside" and text == "...":
            return None
        if wrong == "cut at 1,000 with the name":
            return text[:990]
        if wrong == "cut at 999":
            return text[:999]
        if wrong == "a byte lost at 256":
            return text[:255] + text[256:]
        if wrong == "exactly 512 lost" and len(text) == 512:
            return None
        change: dict[str, Callable[[str], str]] = {
            "escapes markup": lambda t: t.replace("<", "&lt;"),
            "escapes ampersands": lambda t: t.replace("&", "&amp;"),
            "strips in front": str.lstrip,
            "folds blanks": lambda t: re.sub(" +", " ", t),
            "raises": str.upper,
            "formats": lambda t: t.replace("%%", "%").replace("%d", "0"),
            "unescapes": lambda t: t.replace("\\n", "\n"),
            "quotes": lambda t: t.replace('"', '\\"'),
            "title case": lambda t: t[:1].upper() + t[1:],
            "strips dots": lambda t: t.rstrip("."),
        }
        return change.get(wrong, str)(text)

    # Comings and goings.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.wrong == "waits for one name at a time":
            await self.asking.acquire()
        self.connected.append(writer)
        if self.wrong == "five at a time" and len(self.connected) > 5:
            writer.close()
        if self.wrong == "announces the unnamed":
            self.tell_others(writer, "* somebody has come")
        if self.wrong != "no greeting":
            self.tell(writer, self.style.greeting)
        if self.wrong == "greeting of two lines":
            self.tell(writer, "And mind your manners.")
        try:
            while name := await self.line(reader, first=True):
                if self.wrong == "waits for one name at a time":
                    self.asking.release()
                if await self.enter(reader, writer, name.removesuffix("\n").removesuffix("\r")):
                    break
        except (ConnectionError, TimeoutError, asyncio.LimitOverrunError, ValueError) as error:
            if self.wrong == "kept after a reset" and isinstance(error, ConnectionError):
                self.wrong = "names kept"
        finally:
            self.connected.remove(writer)
            if self.wrong == "keeps visitors" and writer not in self.members:
                self.kept.append(os.open(os.devnull, os.O_RDONLY))
            if self.wrong == "goodbyes of the unnamed" and writer not in self.members:
                self.tell_others(writer, "* None has left the room")
            if writer in self.members:
                self.leave(writer)
            writer.close()

    async def line(self, reader: asyncio.StreamReader, *, first: bool = False) -> str:
        """With its end; "" is the end."""
        if self.wrong == "reads are lines":
            return (await reader.read(65536)).decode("latin-1")
        if self.wrong == "one line a read":
            return (await reader.read(65536)).partition(b"\n")[0].decode("latin-1")
        waits = {"two seconds for a name": first, "two seconds for a line": not first}
        async with asyncio.timeout(2 if waits.get(self.wrong) else None):
            line = (await reader.readline()).decode("latin-1")
        if not line.endswith("\n") and not (first and self.wrong == "half a name"):
            return ""
        if self.wrong == "dies of bytes":
            try:
                line.encode("latin-1").decode()
            except UnicodeDecodeError:
                os._exit(1)
        if self.wrong == "dies of NUL" and "\0" in line:
            os._exit(1)
        return line.rstrip() + "\n" if self.style.strips else line

    async def enter(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> bool:
        """From its name to its end; False asks for another name."""
        name = self.changed(name)
        if not self.is_legal(name):
            return self.refuse(writer, name)
        taken = name in self.members.values()
        if self.wrong == "names kept" and name in self.names:
            return self.refuse(writer, name)
        if taken and self.style.taken == "asked again":
            self.tell(writer, f"* {name} is taken. Another?")
            return False
        if taken and self.style.taken == "refused":
            return self.refuse(writer, name)
        if taken and self.wrong == "the second replaces":
            old = next(each for each, owner in self.members.items() if owner == name)
            del self.members[old]
        self.names.add(name)
        await self.introduce(writer, name)
        while line := await self.line(reader):
            text = line.removesuffix("\n").removesuffix("\r")
            if len(text) > self.style.message:
                return True
            if self.wrong == "quit ends" and text == "quit":
                return True
            if self.wrong == "an empty line ends" and not text:
                return True
            if self.wrong == "last words lost" and reader.at_eof():
                return True
            if self.wrong == "over 100 ends" and len(text) > 100:
                return True
            if self.wrong == "over 512 ends" and len(text) > 512:
                return True
            if self.wrong == "over 999 ends" and len(text) > 999:
                return True
            await self.relay(writer, name, text)
        return True

    async def introduce(self, writer: asyncio.StreamWriter, name: str) -> None:
        names = [*self.members.values()]
        if self.wrong == "roster with itself":
            names.append(name)
        if self.wrong == "roster of all times":
            names = [*self.names - {name}]
        if self.wrong == "roster of three":
            names = names[:3]
        roster = self.style.roster(name, names)
        if self.wrong == "roster without a star":
            roster = roster[2:]
        if self.wrong == "roster cut":
            roster = roster[:80]
        if names or self.wrong != "no roster of nobody":
            self.tell(writer, roster)
        if self.wrong == "history":
            for line in self.history[-3:]:
                self.tell(writer, line)
        if self.wrong == "late to the room":
            self.tell_others(writer, self.style.came.format(name, name))
            await asyncio.sleep(0.01)
        elif self.wrong == "enters before it is told":
            self.members[writer] = name
            await asyncio.sleep(0.01)
            self.tell_others(writer, self.style.came.format(name, name))
        elif self.wrong != "silent comings":
            self.tell_others(writer, self.style.came.format(name, name))
        if self.wrong == "told of itself":
            self.tell(writer, self.style.came.format(name, name))
        if self.wrong == "comings without the name":
            self.tell_others(writer, "* somebody is new")
        self.members[writer] = name

    def refuse(self, writer: asyncio.StreamWriter, name: str) -> bool:
        if self.wrong == "tells of the refused":
            self.tell_others(writer, f"* {name} tried to come in")
        if self.wrong == "asks again":
            self.tell(writer, "* Another name, please.")
            return False
        refusal = self.style.refusal
        if refusal:
            writer.write(refusal)
        elif refusal == b"":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    async def relay(self, writer: asyncio.StreamWriter, name: str, text: str) -> None:
        relayed = self.relayed(text)
        if relayed is None or (self.wrong == "the second replaces" and writer not in self.members):
            return
        line = f"[{name}] {relayed}"
        if self.wrong == "delays":
            await asyncio.sleep(0.02)
        if self.wrong == "timestamps":
            line = f"12:30 {line}"
        if self.wrong == "no blank":
            line = f"[{name}]{relayed}"
        if self.wrong == "other brackets":
            line = f"<{name}> {relayed}"
        self.history.append(line)
        if self.wrong != "keeps the history":
            del self.history[:-3]
        self.said += 1
        every = self.said % 97 == 0
        if every and self.wrong == "loses some":
            return
        if every and self.wrong == "order within a sender":
            asyncio.get_running_loop().call_later(0.02, self.tell_others, writer, line)
            return
        self.tell_others(writer, line)
        if every and self.wrong == "doubles some":
            self.tell_others(writer, line)
        await asyncio.sleep(0)

    def leave(self, writer: asyncio.StreamWriter) -> None:
        name = self.members.pop(writer)
        if self.wrong == "keeps members":
            self.kept.append(bytearray(4000))
        if self.wrong == "its end removes the name":
            for other in [each for each, owner in self.members.items() if owner == name]:
                del self.members[other]
        left = self.style.left.format(name)
        if self.wrong == "goodbyes without the name":
            left = "* somebody left"
        if self.wrong == "silent goodbyes":
            return
        self.tell_others(writer, left)
        if self.wrong == "goodbyes twice":
            self.tell_others(writer, left)


async def main(wrong: str, port: int) -> None:
    room = Room(wrong)
    try:
        server = await asyncio.start_server(
            room.serve, "127.0.0.1", port, limit=1 << 20, backlog=100
        )
    except OSError as error:
        sys.exit(f"cannot listen at port {port}: {error.strerror}")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with server:
        await ended.wait()
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
