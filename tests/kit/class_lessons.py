"""Two small lessons, a course of them, and programs to hand in."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from compare.classroom.laid_out import lay_out

ECHO = ["life/0", "tcp/1", "tcp/4", "tcp/6"]
SUM = ["life/0", "fr/1", "fr/3"]
DUE = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)

LESSON = """
title = "{title}"
idea = "bytes"
minutes = 5
[[part]]
file = "{file}"
profile = "{profile}"
fails = {{ python = [], c = [], js = [] }}
[[part.step]]
checks = {checks}
question = "which?"
call = {{ python = "a", c = "b", js = "c" }}
line = {{ python = "a", c = "b", js = "c" }}
[see]
question = "what?"
choices = ["this", "that"]
right = 0
then = "this"
"""

RIGHT = """
import signal, socket, sys, threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
def serve(conn):
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass
try:
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096)
except OSError as error:
    sys.exit(f"port {sys.argv[2]}: {error.strerror}")
while True:
    conn, _ = listener.accept()
    threading.Thread(target=serve, args=(conn,), daemon=True).start()
"""

RIGHT_C = r"""
#include <stdlib.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
static void *serve(void *given) {
    int fd = (int)(intptr_t)given;
    char data[65536];
    ssize_t got;
    while ((got = recv(fd, data, sizeof data, 0)) > 0)
        for (ssize_t sent = 0, some; sent < got; sent += some)
            if ((some = send(fd, data + sent, got - sent, 0)) < 0) goto end;
end:
    close(fd);
    return NULL;
}
int main(int argc, char **argv) {
    (void)argc;
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    at.sin_addr.s_addr = inet_addr(argv[1]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) return 1;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && !pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
            pthread_detach(thread);
    }
}
"""


def write_lessons(folder: Path) -> Path:
    """1, an echo, and 4, which sums up frames."""
    rows: tuple[tuple[str, str, str, str, Sequence[str]], ...] = (
        ("01-an-echo", "An echo", "echo", "tcp-echo", ECHO),
        ("04-frames", "Frames", "summer", "frames", SUM),
    )
    for name, title, file, profile, checks in rows:
        place = folder / name
        place.mkdir(parents=True)
        text = LESSON.format(title=title, file=file, profile=profile, checks=list(checks))
        (place / "lesson.toml").write_text(text, encoding="utf-8")
        (place / "text.md").write_text(f"# {title}\n\nDo it.\n", encoding="utf-8")
        (place / f"{file}0.py").write_text("pass\n", encoding="utf-8")
    return folder


def write_course(folder: Path, *numbers: int, **more: object) -> Path:
    """more: lines of course.toml, above all others, in place of those of the template."""
    lay_out(folder, numbers or (1,), DUE)
    path = folder / "course.toml"
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.partition(" = ")[0] not in more
    ]
    first = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in more.items()]
    path.write_text("\n".join([*first, *kept]) + "\n", encoding="utf-8")
    return folder


def write_wheel(path: Path) -> Path:
    """As pip knows one: by its name and a file in it."""
    name, version = path.name.split("-")[:2]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return path


def hand_in(folder: Path, code: str, name: str = "01-an-echo/echo.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return folder
