"""Who may import what: the layout, held by reading the code."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from click.testing import CliRunner
from rooms import BELOW

import aionet

ROOT = Path(__file__).parents[1]
PACKAGES = ("aionet", "blocking", "compare")
FOR_BLOCKING = {
    "aionet.answerable",
    "aionet.address",
    "aionet.cli",
    "aionet.command",
    "aionet.core",
    "aionet.descriptors",
    "aionet.limits",
    "aionet.listen",
    "aionet.native",
    "aionet.options",
    "aionet.pktinfo",
    "aionet.protocol",
    "aionet.signals",
    "aionet.sockets",
    "aionet.supervised",
    "aionet.throttle",
    "aionet.workers",
}
FOR_CONTENDERS = {
    "aionet.answerable",
    "aionet.command",
    "aionet.core",
    "aionet.descriptors",
    "aionet.loops",
    "aionet.pktinfo",
    "aionet.protocol",
    "aionet.signals",
    "aionet.sockets",
    "aionet.throttle",
}
# The one that is aionet's own server, several times in a process.
FOR_MANY_LOOPS = {
    "aionet.address",
    "aionet.listen_errors",
    "aionet.place",
    "aionet.runner",
    "aionet.server",
}
DOES_IO = {"asyncio", "os", "select", "selectors", "signal", "socket", "threading", "time"}


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


def dotted(path: Path) -> str:
    """The name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            # `from compare.host import process` imports compare.host.process, `from
            # aionet.protocol import Echo` only aionet.protocol.
            package = ROOT / node.module.replace(".", "/")
            for alias in node.names:
                within = (package / f"{alias.name}.py").exists() or (package / alias.name).is_dir()
                within |= node.module in PACKAGES
                yield f"{node.module}.{alias.name}" if within else node.module


def is_of(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def offences(package: str, *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules_of(package)
        for name in imports_of(path)
        if is_of(name, *forbidden)
    ]


def test_aionet_imports_neither_blocking_nor_compare() -> None:
    assert offences("aionet", "blocking", "compare") == []


def test_compare_imports_no_server() -> None:
    strangers = [
        each for each in offences("compare", "aionet", "blocking") if "/contenders/" not in each
    ]
    assert strangers == []


def test_contenders_import_what_all_models_share_and_no_server() -> None:
    found = offences("compare.contenders", "aionet", "blocking", "compare")
    found = [each for each in found if "imports compare.contenders" not in each]
    own = {each for each in found if each.startswith("compare/contenders/many_loops.py ")}
    assert {each.rpartition(" ")[2] for each in {*found} - own} == FOR_CONTENDERS
    assert {each.rpartition(" ")[2] for each in own} - FOR_CONTENDERS == FOR_MANY_LOOPS


def test_compare_has_rooms_and_nothing_beside_them() -> None:
    rooms = {each.name for each in (ROOT / "compare").iterdir() if each.name != "__pycache__"}
    assert rooms == {"__init__.py", "__main__.py", "py.typed", "contenders", *BELOW}


@pytest.mark.parametrize("room", list(BELOW))
def test_no_room_of_compare_imports_one_above_it_or_beside_it(room: str) -> None:
    others = sorted(set(BELOW) - BELOW[room] - {room})
    found = offences(f"compare.{room}", *(f"compare.{other}" for other in others))
    words = f"{room} may import {sorted(BELOW[room])} and itself (docs/architecture.md)"
    assert not found, f"{'; '.join(found)}: {words}"


@pytest.mark.parametrize("room", list(BELOW))
def test_what_a_room_says_it_imports_is_what_it_may(room: str) -> None:
    """Where it names rooms."""
    doc = (
        ast.get_docstring(
            ast.parse((ROOT / "compare" / room / "__init__.py").read_text(encoding="utf-8"))
        )
        or ""
    )
    said = "".join(line for line in doc.splitlines() if line.startswith("Imports "))
    named = {*re.findall(r"`(\w+)`", said)}
    if len(named) > 1:
        assert named == BELOW[room]
    assert named <= BELOW[room]


def test_no_modules_of_compare_import_each_other_in_a_circle() -> None:
    names = {dotted(path) for path in modules_of("compare")}
    above = {dotted(path): set(imports_of(path)) & names for path in modules_of("compare")}
    assert all(TopologicalSorter(above).static_order())


def test_blocking_imports_the_standard_library_and_what_all_models_share() -> None:
    strangers = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules_of("blocking")
        for name in imports_of(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not is_of(name, "blocking", *FOR_BLOCKING)
    ]
    assert strangers == []


def test_blocking_does_not_use_asyncio() -> None:
    lesson = "blocking/lessons/echo_asyncio.py imports asyncio"  # where the ladder ends
    assert offences("blocking", "asyncio") == [lesson]


def test_the_protocols_do_no_input_or_output() -> None:
    assert offences("aionet.protocol", *DOES_IO) == []


def test_what_a_chat_client_says_and_shows_needs_no_input_or_output() -> None:
    assert not {*imports_of(ROOT / "aionet" / "cli" / "chat_client.py")} & DOES_IO


def test_who_imports_aionet_does_not_meet_what_only_commands_need() -> None:
    found = [each for each in offences("aionet", "aionet.cli") if "aionet/cli/" not in each]
    assert found == ["aionet/__main__.py imports aionet.cli.chat"]


def test_the_code_is_there_to_be_read() -> None:
    assert all(modules_of(package) for package in (*PACKAGES, "aionet.protocol"))


@pytest.mark.parametrize(
    "module",
    [
        "aionet",
        "aionet.command",
        "aionet.descriptors",
        "aionet.limits",
        "aionet.listen",
        "aionet.options",
        "aionet.protocol",
        "aionet.sockets",
        "aionet.workers",
        "blocking.client",
        "blocking.keyboard",
        "blocking.send",
        "blocking.send_datagrams",
        "blocking.datagram",
        "blocking.coroutines",
        "blocking.fork",
        "blocking.on_epoll",
        "blocking.on_epoll_et",
        "blocking.on_poll",
        "blocking.on_select",
        "blocking.prefork",
        "blocking.sequential",
        "blocking.threaded",
        "blocking.threadpool",
    ],
)
def test_importing_does_not_load_asyncio(module: str) -> None:
    code = f"import {module}, sys; assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def modules_with_all() -> Iterator[str]:
    for package in PACKAGES:
        for path in modules_of(package):
            if "__all__" in path.read_text(encoding="utf-8"):
                yield dotted(path)


@pytest.mark.parametrize("module", list(modules_with_all()))
def test_every_public_name_is_there(module: str) -> None:
    found = importlib.import_module(module)
    assert len(set(found.__all__)) == len(found.__all__)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


def test_all_that_aionet_offers_is_told_to_type_checkers_too() -> None:
    tree = ast.parse((ROOT / "aionet" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(told) == sorted(aionet.__all__)
    assert told == aionet._HOMES


def test_every_name_of_aionet_can_be_imported_and_no_other() -> None:
    for name in aionet.__all__:
        assert getattr(aionet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aionet.nothing


def test_the_first_use_of_a_name_loads_it() -> None:
    code = (
        "import aionet, sys; assert 'asyncio' not in sys.modules; "
        "aionet.Echo, aionet.Limits, aionet.Room; assert 'asyncio' not in sys.modules; "
        "aionet.serve; assert 'asyncio' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dir_shows_every_public_name_and_the_version() -> None:
    assert {*aionet.__all__, "__version__"} <= set(dir(aionet))


def test_the_library_and_the_instrument_tell_the_same_version() -> None:
    from compare.__main__ import main  # here, so that a circle of imports costs no other test

    told = CliRunner().invoke(main, ["--version"]).output
    assert told.split()[-1] == aionet.__version__ == version("aionet-compare")


def test_the_command_is_installed_under_both_its_names() -> None:
    from compare.__main__ import main

    for name in ("compare", "aionet-compare"):
        (script,) = entry_points(group="console_scripts", name=name)
        assert script.load() is main
