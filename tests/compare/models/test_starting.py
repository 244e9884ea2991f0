"""Why a command did not start."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from compare.models.starting import why_not

CLOSED = OSError(errno.EACCES, os.strerror(errno.EACCES))  # as a folder of PATH that is not ours


def test_name_that_is_nowhere_is_not_called_forbidden() -> None:
    said = why_not(CLOSED, "no-such-server")
    assert said == "cannot start no-such-server: No such file or directory"


def test_file_that_is_there_and_may_not_be_run_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server").touch(0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_not(CLOSED, "server") == "cannot start server: Permission denied"
    assert why_not(CLOSED, "./server") == "cannot start ./server: Permission denied"


def test_folder_that_is_missing_is_named() -> None:
    error = OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/no/such/folder")
    assert why_not(error, "true") == "cannot start /no/such/folder: No such file or directory"
