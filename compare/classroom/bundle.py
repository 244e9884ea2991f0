"""autograder.zip: what Gradescope runs, with the course and its secret in it."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path

from compare.classroom import owner
from compare.classroom.course import FILE, SECRET

ZIPS = "autograder*.zip"
VERSION = metadata.version("aionet-compare")
IMAGE_MINOR = 12  # of the Python 3 that Ubuntu 24.04 has
PROGRAMS = ("setup.sh", "run_autograder")
_WHEEL = re.compile(  # PEP 427
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._+!]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl"
)
EPOCH = (2020, 1, 1, 0, 0, 0)  # so that the same course makes the same bundle


class WheelError(Exception):
    """It is none that pip would install; the message is a line that says what to do."""


def wheels_in(paths: Sequence[Path]) -> list[Path]:
    """Of files, and of folders with such files; this package is among them. Raises WheelError."""
    found: list[Path] = []
    for path in paths:
        inner = sorted(path.glob("*.whl")) if path.is_dir() else [path]
        if not inner:
            raise WheelError(f"there is no wheel in {path}: pip wheel -w {path} aionet-compare")
        found += inner
    for each in found:
        _must_be_a_wheel(each)
    ours = f"aionet_compare-{VERSION}-"
    if found and not any(each.name.startswith(ours) for each in found):
        raise WheelError(f"none of them is {ours}py3-none-any.whl: add the wheel of this package")
    return list({each.name: each for each in found}.values())


def of_other_pythons(wheels: Sequence[Path]) -> list[Path]:
    """Those that the Python of the image does not take, by their tags (PEP 425)."""
    return [each for each in wheels if not _is_taken(*each.stem.split("-")[-3:-1])]


def _is_taken(pythons: str, abis: str) -> bool:
    for python in pythons.split("."):
        match = re.fullmatch(r"(py|cp)3(\d*)", python)
        minor = int(match[2] or 0) if match else IMAGE_MINOR + 1
        any_later = match is not None and (match[1] == "py" or "abi3" in abis.split("."))
        if minor == IMAGE_MINOR or (any_later and minor < IMAGE_MINOR):
            return True
    return False


def _must_be_a_wheel(path: Path) -> None:
    if not (match := _WHEEL.fullmatch(path.name)):
        raise WheelError(
            f"{path.name} is no name of a wheel, and pip refuses it: leave the name that it was "
            f"made with, such as aionet_compare-{VERSION}-py3-none-any.whl"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    if f"{match['name']}-{match['version']}.dist-info/WHEEL" not in names:
        raise WheelError(f"{path} is called a wheel and is none: pip wheel -w wheels .")


def pack(folder: Path, wheels: Sequence[Path] = (), numbers: Sequence[int] = ()) -> Path:
    """Make it anew of what the folder has now; only its owner may read it. Raises OSError.

    numbers: the lessons of an assignment, if that is not all.
    """
    lessons = [str(each) for each in numbers]
    path = folder / ("-".join(["autograder", *lessons]) + ".zip")
    new = folder / f".{path.name}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        owner.give(descriptor, folder.absolute())
        for name in PROGRAMS:
            text = resources.files("compare.classroom").joinpath("templates", name)
            words = text.read_text("utf-8").replace("@VERSION@", VERSION)
            words = words.replace("@LESSONS@", " ".join(lessons))
            archive.writestr(_entry(name, 0o755), words)
        archive.writestr(_entry(f"course/{FILE}", 0o600), (folder / FILE).read_bytes())
        archive.writestr(_entry(f"course/{SECRET}", 0o600), (folder / SECRET).read_bytes())
        for wheel in wheels:
            archive.writestr(_entry(f"wheels/{wheel.name}", 0o644), wheel.read_bytes())
    os.replace(new, path)
    return path


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
