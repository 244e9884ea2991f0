"""What tests of several modules need."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# What asserts for several test modules says as much as a test does.
pytest.register_assert_rewrite(
    *(each.stem for each in (Path(__file__).parent / "kit").glob("*.py"))
)

# A busy machine is no reason to fail, nor is a folder that is another user's: what failed is
# remembered where that can be written.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    **({} if os.access(Path.cwd(), os.W_OK) else {"database": None}),
)
settings.load_profile("project")

# Who is started in the background of a script ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _history_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure does not belong into the history of who runs them."""
    folder: Path = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "COMPARE_STORE", str(folder / "history.sqlite3"))
        yield


# A fact about a model is seen on one of each kind, and by the slow tests on its siblings, which
# differ from it in the call that waits.
SIBLINGS = re.compile(r"(^|-|on_)(select|poll|epoll[-_]et|threadpool|prefork-reuseport)(-|$)")
WITH_SIBLINGS = ("tests/blocking", "tests/conformance")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    folders = [config.rootpath / each for each in WITH_SIBLINGS]
    for item in items:
        case = getattr(item, "callspec", None)
        has_siblings = any(folder in item.path.parents for folder in folders)
        if has_siblings and case is not None and SIBLINGS.search(case.id):
            item.add_marker(pytest.mark.slow)


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python ...` with pipes for its three streams, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
            command = [sys.executable, "-W", "error", *argv]
            process = subprocess.Popen(command, bufsize=0, **pipes)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start
