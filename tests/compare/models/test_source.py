"""Other checkouts: what is one, and servers that are taken from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.commands import run as cli
from compare.commands import where
from compare.host.launch import Server
from compare.models import source
from compare.models.choice import choose
from compare.models.interpreter import Interpreter
from compare.models.matrix import MODELS, WORKLOADS
from compare.models.source import OURS, PACKAGES, Source, first_on_path, folder_of

TCP_LONG = WORKLOADS["tcp-long"]
# In the place of `python -m blocking`: a server that is ready where ours never is.
STRANGER = """
import signal
print("READY tcp://127.0.0.1:4", flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def _git_knows_only_what_a_test_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def make(folder: Path) -> Path:
    """What looks like a checkout."""
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make(tmp_path / "checkout")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Our packages, to be changed."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(OURS / package, tmp_path / "copy" / package, ignore=ignored)
    return tmp_path / "copy"


def refusal(text: str) -> str:
    """The line for a person."""
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        source.parse(text)
    return str(caught.value)


# Labels


@pytest.mark.parametrize("label", ["base", "b", "3.13", "v1.2_rc-3", "0", "x" * 32])
def test_label_is_what_a_name_may_end_with(checkout: Path, label: str) -> None:
    assert source.parse(f"{label}={checkout}") == Source(label=label, path=str(checkout))


@pytest.mark.parametrize(
    "label", ["", " ", "-x", ".x", "_x", "x" * 33, "a b", "a@b", "a/b", "ä", "a\n", "a,b", "[a]"]
)
def test_label_that_could_not_be_told_from_the_rest_is_refused(checkout: Path, label: str) -> None:
    text = f"{label}={checkout}"
    assert refusal(text) == f"{text!r} is not LABEL=DIR, such as base=../before"


@pytest.mark.parametrize("text", ["", "base", "../before", "base:../before"])
def test_folder_without_a_label_is_refused(text: str) -> None:
    assert refusal(text) == f"{text!r} is not LABEL=DIR, such as base=../before"


def test_label_without_a_folder_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `base=$BEFORE` is where that was never set: ours would be held against ours."""
    monkeypatch.chdir(checkout)
    assert "LABEL=DIR" in refusal("base=")


# Folders


def test_folder_may_have_an_equals_sign_and_spaces(tmp_path: Path) -> None:
    folder = make(tmp_path / "a = b")
    assert source.parse(f"base={folder}").path == str(folder)


def test_folder_is_found_from_where_we_are_and_from_home(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to(checkout)
    for name in ("checkout", "./checkout/", "checkout/../checkout", "~/checkout", "link"):
        assert source.parse(f"base={name}").path == str(checkout)


@pytest.mark.parametrize("package", PACKAGES)
def test_folder_that_lacks_a_package_is_no_checkout(checkout: Path, package: str) -> None:
    (checkout / package / "__init__.py").unlink()
    assert refusal(f"base={checkout}") == (
        f"{checkout} is no checkout of this project: there is no {package}/__init__.py in it "
        "(git worktree add DIR COMMIT makes one)"
    )


def test_what_is_no_folder_is_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", "file", "file/within", "."):
        assert "is no checkout of this project" in refusal(f"base={tmp_path / name}")


def test_home_of_nobody_is_no_checkout() -> None:
    assert "~nobody-has-this-name/before" in refusal("base=~nobody-has-this-name/before")


def test_link_to_itself_is_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert str(tmp_path / "loop") in refusal(f"base={tmp_path / 'loop'}")


def test_name_that_is_too_long_for_the_system_is_no_checkout() -> None:
    assert "x" * 300 in refusal("base=" + "x" * 300)


# Commits


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_worktree_has_the_commit_that_it_is_at(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "before")
    git(checkout, "commit", "-q", "-m", "after", "--allow-empty")
    before = tmp_path / "before"
    git(checkout, "worktree", "add", "-q", str(before), "HEAD~")
    found = source.parse(f"base={before}")
    assert found.path == str(before)
    assert found.commit == git(checkout, "rev-parse", "--short", "HEAD~")
    assert source.parse(f"now={checkout}").commit == git(checkout, "rev-parse", "--short", "HEAD")

    (before / "blocking" / "__init__.py").write_text("changed = True\n")
    assert source.parse(f"base={before}").commit == f"{found.commit}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_tag_that_is_no_text_names_a_commit_all_the_same(checkout: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "before")
    git(checkout, "tag", "-a", "-m", "it", os.fsdecode(b"v\xff"))
    found = source.parse(f"base={checkout}").commit
    assert found is not None
    assert found.startswith("v")


def test_folder_that_git_does_not_know_has_no_commit(checkout: Path) -> None:
    assert source.parse(f"base={checkout}").commit is None


def test_without_git_there_is_no_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source.parse(f"base={checkout}").commit is None


# Packages


def test_packages_of_a_checkout_are_had_without_what_lies_beside_them(checkout: Path) -> None:
    (checkout / "random.py").touch()
    (checkout / "tests").mkdir()
    folder = Path(folder_of(str(checkout)))
    assert sorted(os.listdir(folder)) == sorted(PACKAGES)
    assert {each.resolve() for each in folder.iterdir()} == {checkout / each for each in PACKAGES}


def test_each_checkout_has_one_folder(checkout: Path, tmp_path: Path) -> None:
    assert folder_of(str(checkout)) == folder_of(str(checkout))
    assert folder_of(str(checkout)) != folder_of(str(make(tmp_path / "other")))


# Models


def test_model_of_a_checkout_has_its_label(checkout: Path) -> None:
    model = MODELS["epoll"].at(source.parse(f"base={checkout}"))
    assert model.name == "epoll@base"
    assert model.environment is not None
    assert model.environment["PYTHONPATH"].split(os.pathsep)[0] == folder_of(str(checkout))
    assert model.argv(TCP_LONG) == MODELS["epoll"].argv(TCP_LONG)
    assert MODELS["epoll"].environment is None


def test_models_of_all_checkouts_stand_beside_ours(checkout: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    texts = [f"base={checkout}", f"other={other}", f"again={checkout}"]
    models, _, checkouts = choose(["epoll", "fork"], None, [], texts)
    assert [each.name for each in models] == [
        *("epoll", "epoll@base", "epoll@other", "epoll@again"),
        *("fork", "fork@base", "fork@other", "fork@again"),
    ]
    assert [(each.label, each.path) for each in checkouts] == [
        ("base", str(checkout)),
        ("other", str(other)),
        ("again", str(checkout)),
    ]
    assert not MODELS.keys() & {"epoll@base", "fork@base"}


def test_two_checkouts_with_one_label_are_refused(checkout: Path, tmp_path: Path) -> None:
    texts = [f"base={checkout}", f"other={checkout}", f"base={make(tmp_path / 'other')}"]
    with pytest.raises(ValueError, match=r"^two checkouts have one label: base, other, base$"):
        choose(["epoll"], None, [], texts)
    assert "epoll@base" not in MODELS


def test_server_of_a_checkout_runs_its_code_and_ours_runs_ours(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "blocking" / "__main__.py").write_text(STRANGER)
    theirs = MODELS["epoll"].at(source.parse(f"base={copy}"))
    monkeypatch.chdir(copy)  # where we happen to be says nothing
    ports = []
    for model in (theirs, MODELS["epoll"]):
        with Server(model.argv(TCP_LONG), (), env=model.environment) as server:
            ports.append(server.port)
            server.stop()
    assert ports[0] == 4
    assert ports[1] > 1023


def test_what_a_checkout_lacks_is_not_taken_from_ours(copy: Path) -> None:
    """Its packages belong together: none of them is mixed with those of today."""
    (copy / "aionet" / "command.py").write_text(STRANGER)
    model = MODELS["epoll"].at(source.parse(f"base={copy}"))
    with Server(model.argv(TCP_LONG), (), env=model.environment) as server:
        assert server.port == 4


def test_checkout_goes_with_another_python(checkout: Path) -> None:
    python = Interpreter(
        path="/opt/python", label="3.14", version="3.14.1", implementation="CPython",
        gil=True, jit=False,
    )  # fmt: skip
    model = MODELS["epoll"].under(python).at(source.parse(f"base={checkout}"))
    assert model.name == "epoll@3.14@base"
    assert model.argv(TCP_LONG)[0] == "/opt/python"
    assert model.environment is not None
    assert model.environment["PYTHONPATH"].split(os.pathsep)[0] == folder_of(str(checkout))


# From one end to the other


def run(*words: str) -> Result:
    load = ("--rounds", "1", "--duration", "0.1", "--workloads", "tcp-long", "--connections", "4")
    return CliRunner().invoke(main, ["run", "--models", "epoll", *load, *words])


@pytest.mark.slow
def test_both_are_measured_side_by_side(copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    result = run("--source", f"base={copy}", "--json", str(target))
    assert result.exit_code == 0, result.output
    found = json.loads(target.read_text(encoding="utf-8"))
    assert {each["model"] for each in found["cells"]} == {"epoll", "epoll@base"}
    assert all(each["ops_per_s"] for each in found["cells"])
    (told,) = found["settings"]["sources"]
    assert (told["label"], told["path"]) == ("base", str(copy))
    assert f"base: {copy}" in result.stdout


def test_fault_of_a_checkout_is_its_own(copy: Path) -> None:
    (copy / "blocking" / "__main__.py").write_text("raise SystemExit('this is another one')")
    result = run("--source", f"base={copy}")
    assert result.exit_code == 1
    rows = {row.split()[0]: row for row in result.stdout.splitlines() if row.startswith("epoll")}
    assert rows["epoll@base"].endswith("failed")
    assert re.search(r"^epoll@base: .*this is another one$", result.stdout, re.MULTILINE)
    assert "4/4" in rows["epoll"]


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "joined", lambda *_: pytest.fail("it runs"))
    monkeypatch.setattr(where, "missing", lambda: None)  # Dask, as far as options are concerned


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("base", "Invalid value for '--source': 'base' is not LABEL=DIR, such as base=../before"),
        ("base=/nothing", "Invalid value for '--source': /nothing is no checkout of this project"),
    ],
)
def test_checkout_that_cannot_be_had_is_one_line(value: str, words: str) -> None:
    result = run("--source", value)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("nothing_runs")
def test_label_that_is_taken_is_one_line_about_that_option(checkout: Path) -> None:
    result = run("--source", f"base={checkout}", "--source", f"base={checkout}")
    assert result.exit_code == 2
    assert "Invalid value for '--source': two checkouts have one label" in result.stderr


@pytest.mark.usefixtures("nothing_runs")
def test_checkout_of_this_machine_does_not_go_with_servers_on_others(checkout: Path) -> None:
    """They would run what is installed there, under the name of what is here."""
    result = run("--source", f"base={checkout}", "--cluster", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "--source" in result.stderr


@pytest.mark.parametrize("theirs", ["", ":", "/elsewhere:", ":/elsewhere", ".", "./:/elsewhere"])
def test_folder_that_we_happen_to_be_in_is_not_on_the_path(
    theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty name in PYTHONPATH means it."""
    monkeypatch.setenv("PYTHONPATH", theirs)
    found = first_on_path("/ours")["PYTHONPATH"].split(os.pathsep)
    assert found == ["/ours", *(["/elsewhere"] if "/elsewhere" in theirs else [])]
