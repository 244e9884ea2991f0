"""Files of TLS that cannot be used: which of them, and what is to be done."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_programs import Program
from deadline import DEADLINE_S

from aionet.tls import server_context

pytestmark = pytest.mark.timeout(60)

NONE = "must be in a PEM file that can be read"
# Certificate and key, which of them is named, and what is said of it.
WRONG_PAIRS = [
    (("none.pem", "mine.key"), "none.pem", f"the certificate {NONE}: No such file"),
    (("mine.pem", "none.key"), "none.key", f"the private key {NONE}: No such file"),
    (("folder", "mine.key"), "folder", f"the certificate {NONE}: Is a directory"),
    (("mine.pem", "folder"), "folder", f"the private key {NONE}: Is a directory"),
    (("junk.pem", "mine.key"), "junk.pem", "has no certificate as PEM"),
    (("mine.pem", "junk.pem"), "junk.pem", "has no private key as PEM"),
    (("mine.key", "mine.pem"), "mine.key", "has no certificate as PEM"),
    (("mine.der", "mine.key"), "mine.der", "openssl x509 makes PEM of DER"),
    (("mine.pem", "key.der"), "key.der", "openssl pkey makes PEM of DER"),
    (("mine.pem", None), "mine.pem", "name the file of the key, too"),
    (("cut.pem", "mine.key"), "cut.pem", "the certificate in .* cannot be used; get it anew"),
    (("mine.pem", "cut.key"), "cut.key", "the private key in .* cannot be used; get it anew"),
    (("mine.pem", "other.key"), "other.key", "not that of the certificate in .*/mine.pem"),
    (("mine.pem", "rsa.key"), "rsa.key", "not that of the certificate in .*/mine.pem"),
    (("rsa.pem", "mine.key"), "mine.key", "not that of the certificate in .*/rsa.pem"),
    (("small.pem", "small.key"), "small.pem", "the certificate in .* too small"),
    (("mine.pem", "secret.key"), "secret.key", "is encrypted.* openssl pkey -in .*secret.key"),
    (("secret.pem", None), "secret.pem", "the private key in .* is encrypted"),
]
WRONG_AUTHORITIES = [
    ("none.pem", f"the certificate {NONE}: No such file"),
    ("folder", f"the certificate {NONE}: Is a directory"),
    ("junk.pem", "has no certificate as PEM"),
    ("mine.key", "has no certificate as PEM"),
    ("mine.der", "openssl x509 makes PEM of DER"),
    ("cut.pem", "cannot be used; get it anew"),
]


@pytest.fixture(scope="module")
def wrong(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what is right, and beside it what is not."""
    place = tmp_path_factory.mktemp("wrong")
    for name in ("mine.pem", "mine.key", "other.key", "both.pem"):
        shutil.copy(files / name, place)
    (place / "folder").mkdir()
    (place / "junk.pem").write_text("junk\n")

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=place, check=True, capture_output=True)

    openssl("x509 -in mine.pem -outform DER -out mine.der")
    openssl("pkey -in mine.key -outform DER -out key.der")
    openssl("pkey -in mine.key -aes128 -passout pass:x -out secret.key")
    for name, bits in (("rsa", 2048), ("small", 512)):
        openssl(
            f"req -x509 -newkey rsa:{bits} -nodes -keyout {name}.key -out {name}.pem "
            "-days 2 -subj /CN=localhost"
        )
    certificate = (place / "mine.pem").read_text()
    (place / "secret.pem").write_text(certificate + (place / "secret.key").read_text())
    for whole, cut in (("mine.pem", "cut.pem"), ("mine.key", "cut.key")):
        (place / cut).write_text((place / whole).read_text()[:150])
    return place


def refused(make: Callable[[], object], path: Path, said: str) -> None:
    with pytest.raises(OSError, match=said) as error:
        make()
    assert error.value.filename == str(path)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    if not re.search("No such|Is a", said):
        assert isinstance(error.value, ssl.SSLError)


@pytest.mark.parametrize(("pair", "named", "said"), WRONG_PAIRS)
def test_the_file_of_a_pair_that_is_wrong_is_named(
    wrong: Path, pair: tuple[str, str | None], named: str, said: str
) -> None:
    certificate, key = (wrong / name if name else None for name in pair)
    assert certificate is not None
    refused(lambda: server_context(certificate, key), wrong / named, said)
    of_a_host: Any = {"a.example": (certificate, key) if key else certificate}
    refused(lambda: server_context(wrong / "both.pem", hosts=of_a_host), wrong / named, said)


@pytest.mark.parametrize(("named", "said"), WRONG_AUTHORITIES)
def test_the_file_of_authorities_that_is_wrong_is_named(wrong: Path, named: str, said: str) -> None:
    path = wrong / named
    refused(lambda: server_context(wrong / "both.pem", client_ca=path), path, said)


@pytest.mark.parametrize("given", [5, (), ("a.pem",), (None, "a.key"), "a\0.pem"])
def test_what_is_no_file_of_a_host_is_a_value_error(wrong: Path, given: Any) -> None:
    with pytest.raises(ValueError, match=r"^hosts\['a.example'\] is "):
        server_context(wrong / "both.pem", hosts={"a.example": given})


@pytest.mark.parametrize(
    ("pair", "named", "said"),
    [
        each
        for each in WRONG_PAIRS
        if each[1] in ("none.key", "junk.pem", "other.key", "secret.key")
    ],
)
def test_the_command_says_it_in_one_line(
    wrong: Path, pair: tuple[str, str], named: str, said: str
) -> None:
    certificate, key = (str(wrong / name) for name in pair)
    options = ["--tls-cert", certificate, "--tls-key", key]
    outcome = subprocess.run(
        [sys.executable, "-m", "aionet", "serve", "echo", *options],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=DEADLINE_S,
    )
    assert (outcome.returncode, outcome.stdout) == (1, "")
    (line,) = outcome.stderr.splitlines()
    assert re.match(f"error: cannot serve TLS: .*{said}", line)
    assert str(wrong / named) in line


SERVES = """
import aionet

tls = aionet.server_context("now.pem", "now.key")
if __name__ == "__main__":
    aionet.run(aionet.Echo(), "tcp://127.0.0.1:0", tls=tls, on_ready=lambda where: print(
        "READY", *where, flush=True))
"""


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("other.key", "is not that of the certificate in now.pem"),
        ("secret.key", "is encrypted"),
        ("cut.key", "cannot be used"),
    ],
)
def test_hangup_names_the_file_that_cannot_be_used(
    wrong: Path, tmp_path: Path, key: str, said: str
) -> None:
    shutil.copy(wrong / "mine.pem", tmp_path / "now.pem")
    shutil.copy(wrong / "mine.key", tmp_path / "now.key")
    program = Program(tmp_path, "program.py", code=SERVES)
    program.port()
    (tmp_path / "new.key").write_bytes((wrong / key).read_bytes())
    os.replace(tmp_path / "new.key", tmp_path / "now.key")
    program.process.send_signal(signal.SIGHUP)
    assert program.process.stderr is not None
    line = program.process.stderr.readline()
    assert line.startswith("certificates cannot be read, and stay as they are: the private key in")
    assert f"now.key {said}" in line
    status, _, _ = program.end()
    assert status == 0
