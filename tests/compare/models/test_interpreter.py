"""Other Pythons: what is seen of them, and servers that run under them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.models.choice import choose
from compare.models.interpreter import look, look_at_all
from compare.models.matrix import MODELS, WORKLOADS
from compare.models.sets import SETS
from compare.models.source import PACKAGES

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def pretend(folder: Path, name: str = "python", **seen: object) -> str:
    """A program that says of itself what was asked for, and is this Python otherwise."""
    usual = dict(implementation="CPython", version="3.99.1", numbers=(3, 99))  # noqa: C408
    answer = usual | {"threaded": False, "gil": True, "jit": False} | seen
    path = folder / name
    path.write_text(
        f"#!/bin/sh\ncase \"$2\" in *Py_GIL_DISABLED*) echo '{json.dumps(answer)}';; "
        f'*) exec {sys.executable} "$@";; esac\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_this_python_is_seen_as_it_is() -> None:
    seen = look(sys.executable)
    assert (seen.path, seen.gil, seen.jit) == (sys.executable, True, False)
    assert seen.label == HERE
    assert str(seen) == f"CPython {sys.version.split()[0]}"


def test_what_makes_pythons_differ_is_in_label_and_words(tmp_path: Path) -> None:
    free = look(pretend(tmp_path, threaded=True, gil=False, jit=True))
    assert (free.label, str(free)) == ("3.99t", "CPython 3.99.1, no GIL, JIT")
    locked = look(pretend(tmp_path, threaded=True, gil=True))
    assert (locked.label, str(locked)) == ("3.99t", "CPython 3.99.1")
    assert look(pretend(tmp_path, implementation="PyPy")).label == "pypy3.99"


def test_two_of_one_version_have_labels_of_their_own(tmp_path: Path) -> None:
    commands = [sys.executable, pretend(tmp_path), pretend(tmp_path, "other"), sys.executable]
    assert [each.label for each in look_at_all(commands)] == [HERE, "3.99", "3.99-2"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/no/such/python", "cannot start /no/such/python: No such file or directory"),
        ("/bin/true", "/bin/true is no Python"),
        ("/bin/false", "/bin/false is no Python"),
    ],
)
def test_what_is_no_python_is_refused(command: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        look(command)


def test_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = pretend(tmp_path, version="3.9.2", numbers=(3, 9))
    with pytest.raises(ValueError, match=r"is Python 3\.9\.2; the servers need 3\.11 or newer"):
        look(old)


def test_sources_are_our_packages_and_nothing_else() -> None:
    folder = look(sys.executable).sources()
    assert sorted(os.listdir(folder)) == sorted(PACKAGES)
    code = "import aionet, blocking.on_epoll, compare.contenders; print(aionet.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": folder},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(folder)


def test_model_says_under_what_it_runs(tmp_path: Path) -> None:
    model = MODELS["threaded"].under(look(pretend(tmp_path)))
    assert model.name == "threaded@3.99"
    assert model.argv(WORKLOADS["chat"])[0] == str(tmp_path / "python")
    assert model.unsupported(WORKLOADS["chat"]) is None


def test_module_that_another_python_lacks_makes_a_model_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # nothing is installed there
    path.chmod(0o755)
    model = MODELS["uvloop"].under(look(str(path)))
    words = f"uvloop is not installed for {path}: {path} -m pip install uvloop"
    assert model.unsupported(WORKLOADS["tcp-long"]) == words
    assert MODELS["epoll"].under(look(str(path))).unsupported(WORKLOADS["tcp-long"]) is None


def test_python_that_is_too_old_for_a_model_is_named_with_what_it_needs(tmp_path: Path) -> None:
    model = MODELS["interpreters"].under(look(pretend(tmp_path, version="3.12.0", numbers=(3, 12))))
    words = "it needs Python 3.13 or newer, and this is 3.12.0: --python COMMAND"
    assert model.unsupported(WORKLOADS["tcp-long"]) == words
    assert "members" in (model.unsupported(WORKLOADS["chat"]) or "")
    ours = MODELS["interpreters"].unsupported(WORKLOADS["tcp-long"])
    assert (ours is None) == (sys.version_info >= (3, 13))


def run(*words: str) -> Result:
    load = ("--rounds", "1", "--duration", "0.1", "--workloads", "tcp-long", "--connections", "4")
    return CliRunner().invoke(main, ["run", *load, *words])


@pytest.mark.slow
def test_servers_run_under_each_python_that_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    target = tmp_path / "run.json"
    result = run(
        *("--models", "epoll,uvloop", "--python", sys.executable, "--python", str(bare)),
        *("--json", str(target)),
    )
    assert result.exit_code == 0, result.output
    found = json.loads(target.read_text())
    verdicts = {each["model"]: each["verdict"] for each in found["cells"]}
    assert verdicts.keys() == {
        f"{model}@{HERE}{number}" for model in ("epoll", "uvloop") for number in ("", "-2")
    }
    assert verdicts[f"uvloop@{HERE}-2"] == "unsupported"
    assert "unsupported" not in (verdicts[f"epoll@{HERE}"], verdicts[f"epoll@{HERE}-2"])
    assert [each["path"] for each in found["settings"]["interpreters"]] == [
        sys.executable,
        str(bare),
    ]
    assert f"{HERE}-2: CPython" in result.stdout


def test_python_that_cannot_be_used_is_one_line() -> None:
    result = run("--python", "/no/such/python")
    assert result.exit_code == 2
    assert "cannot start /no/such/python" in result.stderr
    assert "Traceback" not in result.output


# Sets


def chosen(models: list[str] | None, sets: list[str] | None) -> list[str]:
    found, interpreters, checkouts = choose(models, sets, [])
    assert (interpreters, checkouts) == ([], [])
    return [each.name for each in found]


def test_sets_name_models_and_may_be_put_together() -> None:
    assert chosen(None, None) == [*SETS["default"][1]]
    assert chosen(["gevent"], ["readiness"]) == [*SETS["readiness"][1], "gevent"]
    both = chosen(None, ["readiness", "asyncio"])
    assert len(both) == len(set(both))
    assert set(both) == {*SETS["readiness"][1], *SETS["asyncio"][1]}


def test_every_set_has_models_that_there_are_and_every_model_is_in_one() -> None:
    for name, (words, models) in SETS.items():
        assert words
        assert set(models) <= MODELS.keys(), name
    inside = {each for _, models in SETS.values() for each in models}
    assert inside == {name for name, model in MODELS.items() if not model.reference}


def test_set_that_there_is_not_is_refused_by_name() -> None:
    result = run("--set", "fast")
    assert result.exit_code == 2
    assert "there is no set 'fast'; choose from default, readiness" in result.stderr
