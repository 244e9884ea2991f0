"""Hosts with addresses of their own: network namespaces, joined by a bridge.

A kernel has one clock, and these hosts share it; so what is estimated of it can be held against
the truth.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from short_runs import BELIEVED

from .conftest import Compare, Dask

MakeDask = Callable[..., Dask]
DELAY_MS = 20
DRIVERS = 4
MANY = 120_000
SKEW_US = 50_000.0  # on a machine that is busy with other tests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Net:
    """Namespaces on one bridge; `inside` is what goes before a command that runs in one."""

    def __init__(self) -> None:
        self._tag = f"cmp{os.getpid() % 10000}"
        self._names: list[str] = []
        self._cables: list[subprocess.Popen[bytes]] = []
        self._bridge = f"{self._tag}br"

    def open(self) -> None:
        """Raises OSError where that is not permitted."""
        _ip("netns", "add", self._bridge)
        self._names.append(self._bridge)
        _ip("-n", self._bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "br0", "up")

    def host(self, number: int, addresses: int = 1, delay_s: float = 0.0) -> str:
        """One more: its address, 10.77.N.1, and more of them if wanted; a delay each way."""
        name, across = f"{self._tag}h{number}", f"v{number}"
        _ip("netns", "add", name)
        self._names.append(name)
        _ip("-n", name, "link", "set", "lo", "up")
        if delay_s:
            cable = str(Path(__file__).with_name("cable.py"))
            command = ["ip", "netns", "exec", self._bridge, sys.executable, cable]
            process = subprocess.Popen(
                [*command, across, f"w{number}", str(delay_s)], stdout=subprocess.PIPE
            )
            self._cables.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"READY\n"
            _ip(*f"-n {self._bridge} link set w{number} netns {name} name eth0".split())
        else:
            link = f"-n {name} link add eth0 type veth peer name {across} netns {self._bridge}"
            _ip(*link.split())
        for last in range(1, addresses + 1):
            _ip("-n", name, "addr", "add", f"10.77.{number}.{last}/16", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", self._bridge, "link", "set", across, "master", "br0")
        _ip("-n", self._bridge, "link", "set", across, "up")
        return f"10.77.{number}.1"

    def inside(self, number: int) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self._tag}h{number}")

    def close(self) -> None:
        for cable in self._cables:
            cable.kill()
            cable.communicate()
        for name in self._names[::-1]:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def net() -> Iterator[Net]:
    if shutil.which("ip") is None:
        pytest.skip("there is no ip command: apt-get install iproute2")
    made = Net()
    try:
        try:
            made.open()
        except OSError as error:
            pytest.skip(f"network namespaces are not permitted here: {error}")
        yield made
    finally:
        made.close()


def _three_hosts(net: Net, cluster: Dask, delay_s: float = 0.0) -> None:
    """A server and two drivers, the second of them at the end of a slow link."""
    server, one, other = net.host(1), net.host(2), net.host(3, delay_s=delay_s)
    cluster.scheduler(server, net.inside(1))
    cluster.worker("server", "server=1", server, net.inside(1))
    cluster.worker("driver1", "driver=1", one, net.inside(2))
    cluster.worker("driver2", "driver=1", other, net.inside(3))
    cluster.await_workers(3)


def _run(process: subprocess.Popen[str], expected: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=150)
    assert process.returncode == expected, err
    run: dict[str, Any] = json.loads(out)
    return run


def test_matrix_fills_from_two_hosts_to_a_third(net: Net, dask: MakeDask, compare: Compare) -> None:
    cluster = dask(bare=True)
    _three_hosts(net, cluster)
    asked = ("run", "--rounds", "1", "--duration", "0.5", "--cluster", cluster.address)
    run = _run(compare(*asked, "--insecure", "--json", "-", inside=net.inside(1)))
    assert len(run["cells"]) == 20
    # What was at its limit depends on what else this machine does.
    assert {each["verdict"] for each in run["cells"]} <= {*BELIEVED}
    hosts = {each["worker"].partition("//")[2].partition(":")[0] for each in run["hosts"]}
    assert hosts == {"10.77.1.1", "10.77.2.1", "10.77.3.1"}
    for cell in run["cells"]:
        for finished in cell["rounds"]:
            assert finished["start_skew_us"] < SKEW_US, (cell["model"], cell["workload"])


def test_delay_of_a_link_shows_on_its_shard_alone(
    net: Net, dask: MakeDask, compare: Compare
) -> None:
    cluster = dask(bare=True)
    _three_hosts(net, cluster, DELAY_MS / 2000)
    words = ("--models", "epoll,asyncio", "--workloads", "tcp-long,udp-echo,chat", "--json", "-")
    asked = ("run", "--rounds", "1", "--cluster", cluster.address, "--insecure", *words)
    run = _run(compare(*asked, inside=net.inside(1)))
    assert len(run["cells"]) == 6
    for cell in run["cells"]:
        assert cell["verdict"] != "failed", cell["reasons"]
        if cell["workload"] == "chat":  # in which everybody waits for everybody
            continue
        (finished,) = cell["rounds"]
        near, far = (
            next(each for each in finished["shards"] if each["worker"].startswith(f"tcp://{host}:"))
            for host in ("10.77.2.1", "10.77.3.1")
        )
        assert near["latency_us"]["p50"] < 5000
        assert DELAY_MS * 1000 <= far["latency_us"]["p50"] < DELAY_MS * 1000 + 10_000
        assert near["ops_per_s"] > 5 * far["ops_per_s"]


def test_clock_is_within_its_error_of_the_truth(net: Net, dask: MakeDask, tmp_path: Path) -> None:
    """Asked as if it were another host's; its offset is 0, since it is not."""
    cluster = dask(bare=True)
    _three_hosts(net, cluster, DELAY_MS / 2000)
    script = tmp_path / "ask.py"
    script.write_text(
        "import sys\n"
        "from compare.cluster import hosts, tasks\n"
        "look = tasks.look\n"
        "with hosts.Hosts(sys.argv[1]) as joined:\n"
        "    workers = joined.placed(None, joined.addresses('driver'))\n"
        "    hosts.look = lambda: __import__('msgspec').structs.replace(look(), boot='another')\n"
        "    for address, clock in sorted(joined.clocks(workers).items()):\n"
        "        print(address, clock.offset_ns, clock.error_ns)\n"
    )
    command = [*net.inside(1), *cluster.python, str(script), cluster.address]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    near, far = (tuple(map(int, line.split()[1:])) for line in said.splitlines())
    for offset, error in (near, far):
        assert abs(offset) <= error
    assert near[1] < 5_000_000
    assert far[1] == pytest.approx(DELAY_MS * 1e6 / 2, abs=5e6)


def test_more_connections_than_one_host_could_open(
    net: Net, dask: MakeDask, compare: Compare
) -> None:
    """From four hosts, with two addresses each: one address has some 28,000 ports."""
    cluster = dask(bare=True)
    server = net.host(1)
    cluster.scheduler(server, net.inside(1))
    cluster.worker("server", "server=1", server, net.inside(1))
    for number in range(2, 2 + DRIVERS):
        address = net.host(number, addresses=2)
        cluster.worker(f"driver{number}", "driver=1", address, net.inside(number))
    cluster.await_workers(1 + DRIVERS)
    words = ("--models", "uvloop-workers", "--hold", str(MANY), "--duration", "0.5", "--json", "-")
    asked = ("scale", "--cluster", cluster.address, "--insecure", *words)
    run = _run(compare(*asked, inside=net.inside(1)))
    (cell,) = run["cells"]
    held = cell["held"]
    seen = {name: held[name] for name in ("counts", "errors", "gave_way")}
    assert held["counts"]["served"] == held["counts"]["attempted"] == MANY, seen
    assert held["errors"] == {}
    assert held["processes"] >= MANY // 20_000
    assert [each for each in held["gave_way"] if "backlog" not in each] == []
    assert len(cell["rounds"][0]["shards"]) == DRIVERS
    assert run["limits"]["ephemeral_ports"] > 0
    assert len(run["hosts"]) == 1 + DRIVERS


def _documented() -> list[str]:
    """The five commands, as docs/cluster.md has them."""
    text = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    section = text.partition("## Two hosts, five commands")[2].partition("**Who reaches")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def test_five_commands_are_enough_for_two_hosts(
    net: Net, dask: MakeDask, compare: Compare, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    hosts = {"10.0.0.1": net.host(1), "10.0.0.2": net.host(2)}
    commands = _documented()
    assert len(commands) == 5
    install, scheduler, *workers, run = commands
    assert install.startswith("pip install")
    with contextlib.ExitStack() as stack:
        for number, command in zip((1, 1, 2), (scheduler, *workers), strict=True):
            words = command.removesuffix(" &")
            for said, address in hosts.items():
                words = words.replace(said, address)
            assert words.startswith("dask ")
            program = str(Path(sys.executable).with_name("dask"))
            process = stack.enter_context(
                subprocess.Popen(
                    [*net.inside(number), program, *words.split()[1:]],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd=tmp_path,
                    text=True,
                )
            )
            stack.callback(process.kill)
            awaited = "Scheduler at" if command is scheduler else "Registered to"
            assert process.stderr is not None
            for line in process.stderr:
                if awaited in line:
                    break
        words = run.replace("10.0.0.1", hosts["10.0.0.1"]).split()
        assert words[0] == "compare"
        asked = (*words[1:], "--quick", "--workloads", "tcp-long", "--models", "epoll")
        said = _run(compare(*asked, "--json", "-", inside=net.inside(2)))
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # the nannies' workers
                child.kill()
    (cell,) = said["cells"]
    assert cell["counts"]["served"] == 64
    assert cell["rounds"][0]["shards"][0]["worker"].startswith(f"tcp://{hosts['10.0.0.2']}:")
