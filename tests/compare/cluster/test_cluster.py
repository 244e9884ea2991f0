"""A run on a cluster, and what it costs when a part of it dies.

Each starts a scheduler and workers as people do:  pytest -m slow tests/compare/cluster
"""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from compare.selftest import planted

from .conftest import Compare, Dask

MakeDask = Callable[..., Dask]
SKEW_US = 50_000.0  # on a machine that is busy with other tests; 0.5 ms on an idle one
GONE_S = 20.0  # until nothing is left of what was stopped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def _run(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=150)
    return process.returncode, out, err


def _await_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"it never said {text!r}")


def _until_nothing_is_left(dask: Dask) -> None:
    deadline = time.monotonic() + GONE_S
    while left := dask.left_running():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _asked(dask: Dask, *words: str, workloads: str = "tcp-long") -> list[str]:
    return [
        *("run", "--cluster", dask.address, "--models", "asyncio", "--workloads", workloads),
        *("--rounds", "1", "--seed", "1", "--json", "-", *words),
    ]


def test_shards_begin_together_and_their_sum_is_the_result(
    dask: MakeDask, compare: Compare
) -> None:
    cluster = dask()
    asked = _asked(
        cluster, "--connections", "7", "--duration", "0.5", workloads="tcp-long,udp-echo"
    )
    status, out, err = _run(compare(*asked))
    assert status == 0, err
    run = json.loads(out)
    assert [each["role"] for each in run["hosts"]] == ["server", "driver", "driver"]
    assert run["settings"]["cluster"] == cluster.address
    assert len(run["cells"]) == 2
    for cell in run["cells"]:
        (finished,) = cell["rounds"]
        shards = finished["shards"]
        assert [each["connections"] for each in shards] == [4, 3]
        assert cell["counts"]["served"] == sum(each["served"] for each in shards) == 7
        assert finished["ops_per_s"] == pytest.approx(
            sum(each["ops_per_s"] for each in shards), rel=1e-6
        )
        assert all(each["ops_per_s"] > 100 for each in shards)
        assert finished["start_skew_us"] < SKEW_US
        assert [each["clock_error_us"] for each in shards] == [0, 0]  # one kernel, one clock
        assert cell["server"]["cpu_us_per_op"] > 0
        assert cell["server"]["rss_kb"] > 1000
    _until_nothing_is_left(cluster)


def test_open_loop_is_shared_out(dask: MakeDask, compare: Compare) -> None:
    cluster = dask()
    asked = _asked(cluster, "--rate", "2000", "--connections", "8", "--duration", "1")
    status, out, err = _run(compare(*asked))
    assert status == 0, err
    (cell,) = json.loads(out)["cells"]
    assert cell["loop"] == "open"
    assert cell["pace"]["rate"] == pytest.approx(2000)
    assert cell["pace"]["offered"] == pytest.approx(2000, rel=0.02)
    assert cell["ops_per_s"] == pytest.approx(2000, rel=0.05)


def test_server_that_stands_at_a_target_is_driven_and_left_alone(
    dask: MakeDask, compare: Compare
) -> None:
    cluster = dask()
    with subprocess.Popen(
        [sys.executable, "-m", "aionet", "serve", "echo"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        target = server.stdout.readline().strip().rpartition("//")[2]
        words = ["run", "--cluster", cluster.address, "--target", target, "--quick"]
        status, out, err = _run(compare(*words, "--workloads", "tcp-long", "--json", "-"))
        assert status == 0, err
        (cell,) = json.loads(out)["cells"]
        assert cell["model"] == target
        assert cell["counts"]["served"] == 64
        assert cell["server"]["cpu_us_per_op"] is None
        assert server.poll() is None
        server.terminate()


# What dies.


def test_server_of_ones_own_that_dies_is_named_with_how(dask: MakeDask, compare: Compare) -> None:
    cluster = dask()
    dying = shlex.join(planted.command("echo.py", "dies", 500))
    status, out, err = _run(
        compare(
            *("run", "--cluster", cluster.address, "--server", f"mine={dying}", "--models", "mine"),
            *("--workloads", "tcp-long", "--rounds", "1", "--unchecked", "--json", "-"),
        )
    )
    (cell,) = json.loads(out)["cells"]
    assert (status, cell["verdict"]) == (1, "failed")
    why = "the server ended while it was measured: exit status 3; stderr: out of luck"
    assert cell["reasons"][-1].startswith(why)  # each of its threads may have said so
    assert "Traceback" not in err
    _until_nothing_is_left(cluster)


def _die(
    dask: MakeDask, compare: Compare, who: str, delay: float, *words: str, how: int = signal.SIGKILL
) -> tuple[int, dict[str, Any], str, Dask]:
    """Kill a part of the cluster so long after the first cell has begun: what the run said."""
    cluster = dask()
    process = compare(*_asked(cluster, "--duration", "2", *words))
    _await_line(process, "joining")
    time.sleep(delay)
    os.kill(cluster.processes[who].pid, how)
    status, out, err = _run(process)
    return status, json.loads(out), err, cluster


def _moments(count: int) -> list[Any]:
    """From before the first cell until it is over; all but one are for `-k moment`."""
    source = random.Random(count)
    names = ["once", *(f"moment{number}" for number in range(2, count + 1))]
    return [pytest.param(source.uniform(0.5, 5.0), id=name) for name in names]


@pytest.mark.parametrize("delay", _moments(20))
def test_driver_that_is_killed_costs_its_cell_and_the_run_goes_on(
    dask: MakeDask, compare: Compare, delay: float
) -> None:
    status, run, err, cluster = _die(dask, compare, "driver2", delay, "--connections", "64,32")
    assert "Traceback" not in err
    _until_nothing_is_left(cluster)
    failed = [cell for cell in run["cells"] if cell["verdict"] == "failed"]
    assert status == (1 if failed else 0)
    for cell in failed:
        assert any("driver" in reason for reason in cell["reasons"]), cell["reasons"]
    assert len(failed) <= 1
    assert len(run["cells"]) == 2
    for cell in run["cells"]:
        for finished in cell["rounds"]:
            assert finished["window_s"] == pytest.approx(2, rel=0.05)
            assert finished["counts"]["served"] == cell["connections"]


@pytest.mark.parametrize("delay", _moments(10))
def test_without_a_server_worker_the_run_ends_and_says_so(
    dask: MakeDask, compare: Compare, delay: float
) -> None:
    status, run, err, cluster = _die(dask, compare, "server", delay, "--connections", "64,32")
    assert "Traceback" not in err
    _until_nothing_is_left(cluster)
    assert status == 1
    assert "no worker" in err or "worker" in str([cell["reasons"] for cell in run["cells"]])


@pytest.mark.parametrize("delay", _moments(5))
def test_without_a_scheduler_the_run_ends_with_what_was_measured(
    dask: MakeDask, compare: Compare, delay: float
) -> None:
    status, run, err, cluster = _die(dask, compare, "scheduler", delay, "--connections", "64,32")
    assert "Traceback" not in err
    assert "the scheduler at" in err
    assert status == 1
    assert run["ended"]
    for each in cluster.processes.values():  # workers may stay and wait for a new scheduler
        each.kill()
    _until_nothing_is_left(cluster)


def test_worker_that_hangs_is_named_and_what_it_started_ends(
    dask: MakeDask, compare: Compare
) -> None:
    status, run, err, _ = _die(
        dask, compare, "driver2", 2.5, "--connections", "64", how=signal.SIGSTOP
    )
    (cell,) = run["cells"]
    assert status == 1
    assert cell["verdict"] == "failed"
    assert "no word for" in cell["reasons"][0] or "hangs" in cell["reasons"][0]
    assert "Traceback" not in err


def test_interrupted_run_leaves_nothing_running(dask: MakeDask, compare: Compare) -> None:
    cluster = dask()
    process = compare(*_asked(cluster, "--duration", "5", "--rounds", "3"))
    _await_line(process, "joining")
    time.sleep(3.0)
    process.send_signal(signal.SIGINT)
    status, _, err = _run(process)
    assert status == 130
    assert "Traceback" not in err
    _until_nothing_is_left(cluster)


def test_killed_run_leaves_nothing_running(dask: MakeDask, compare: Compare) -> None:
    """Nobody tells its tasks; the scheduler sees that their client is gone."""
    cluster = dask()
    process = compare(*_asked(cluster, "--duration", "5"))
    _await_line(process, "joining")
    time.sleep(3.0)
    process.kill()
    _until_nothing_is_left(cluster)


# Who may.


def test_other_versions_are_refused_and_both_are_named(dask: MakeDask) -> None:
    cluster = dask()
    code = (
        "import sys; from compare.cluster import hosts; from compare.__main__ import main\n"
        "ours = {**hosts.versions(), 'Python': '3.99.0'}; hosts.versions = lambda: ours\n"
        "main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *_asked(cluster)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Python 3.")
    assert "and 3.99.0 here: install the same on all hosts" in done.stderr


def test_nobody_at_the_address_is_said_in_a_line(compare: Compare) -> None:
    pytest.importorskip("distributed")
    status, _, err = _run(compare("run", "--cluster", "tcp://127.0.0.1:1"))
    assert status == 1
    assert "nobody answers as a Dask scheduler at tcp://127.0.0.1:1" in err.splitlines()[-1]


def test_cluster_without_drivers_says_how_to_start_one(dask: MakeDask, compare: Compare) -> None:
    cluster = dask(bare=True)
    cluster.scheduler()
    status, _, err = _run(compare(*_asked(cluster)))
    assert status == 1
    assert f"dask worker {cluster.address} --resources driver=1" in err.splitlines()[-1]


def test_tls_lets_in_who_has_a_certificate_and_nobody_else(
    dask: MakeDask, compare: Compare, tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    certificate.private_key_pem.write_to_path(files["key"])
    for part in certificate.cert_chain_pems:
        part.write_to_path(files["cert"], append=True)
    words = ("--tls-ca-file", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"])
    cluster = dask(bare=True, tls=words)
    cluster.scheduler()
    cluster.worker("driver1", "driver=1")
    cluster.worker("server", "server=1")
    cluster.await_workers(2)
    asked = [*_asked(cluster), "--duration", "0.3"]
    ours = ["--tls-ca", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"]]
    status, out, err = _run(compare(*asked, *ours))
    assert status == 0, err
    assert json.loads(out)["cells"][0]["counts"]["served"] == 64
    status, _, err = _run(compare(*asked))
    assert status == 2
    assert "--tls-ca" in err
    stranger = trustme.CA().issue_cert("127.0.0.1")
    stranger.private_key_pem.write_to_path(files["key"])
    stranger.cert_chain_pems[0].write_to_path(files["cert"])
    status, _, err = _run(compare(*asked, *ours))
    assert status == 1
    assert "nobody answers as a Dask scheduler" in err
    assert "Traceback" not in err


def test_idle_connections_are_held_by_all_drivers(dask: MakeDask, compare: Compare) -> None:
    cluster = dask()
    words = ("--models", "epoll,blocking", "--idle", "10,300", "--duration", "0.3", "--json", "-")
    asked = ("scale", "--cluster", cluster.address, "--connections", "8", "--rounds", "2")
    status, out, err = _run(compare(*asked, *words))
    assert status == 0, err
    cells = {(each["model"], each["idle"]): each for each in json.loads(out)["cells"]}
    for idle in (10, 300):
        cell = cells["epoll", idle]
        assert len(cell["rounds"]) == 2
        for finished in cell["rounds"]:
            assert finished["held"]["counts"]["served"] == idle
            assert finished["held"]["processes"] == 2
            assert finished["held"]["server_kb"] >= 0
            assert [each["connections"] for each in finished["shards"]] == [4, 4]
    alone = cells["blocking", 10]
    assert alone["verdict"] == "gave-way"
    assert alone["held"]["counts"]["served"] == 1
    assert "serves one" in alone["held"]["gave_way"][0]
    assert cells["blocking", 300]["verdict"] == "unsupported"
    _until_nothing_is_left(cluster)
