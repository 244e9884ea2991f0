"""In a network that has no port left, or no room in TIME_WAIT, a right server has not failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_network import said_in_a_network_of_its_own

SERVERS = Path(__file__).parent / "servers"
CHECKS = """
import socket
import sys
from pathlib import Path
from compare.check.bench import Subject
from compare.check.runner import run
from compare.host.place import loopback_fault

IPV4 = Path("/proc/sys/net/ipv4")

def show(profile, script, mistake, ids):
    command = (sys.executable, f"{sys.argv[1]}/{script}.py", mistake, "{port}")
    for finding in run(Subject(profile, command), ids, 7, lambda text: None):
        print(finding.id, finding.state, finding.reason or finding.actual)
"""
WITHOUT_PORTS = f"""{CHECKS}
(IPV4 / "ip_local_port_range").write_text("40000 40003")
held = []
for port in range(40000, 40004):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held.append(socket.socket(type=kind))
        held[-1].bind(("", port))
print(loopback_fault())
show("tcp-echo", "tcp", "none", ["tcp/1", "tcp/12", "tcp/19", "life/1"])
show("chat", "chat", "none", ["tcp/19", "chat/4"])
show("udp-echo", "udp", "none", ["udp/1", "udp/6"])
"""
WITHOUT_TIME_WAIT = f"""{CHECKS}
(IPV4 / "tcp_max_tw_buckets").write_text(sys.argv[2])
show("tcp-echo", "tcp", "none", ["tcp/19"])
show("tcp-echo", "tcp", "no-reuseaddr", ["tcp/19"])
show("chat", "chat", "none", ["tcp/19"])
"""


@pytest.mark.slow
def test_checks_for_which_there_is_no_port_are_skipped() -> None:
    fault, *findings = said_in_a_network_of_its_own(WITHOUT_PORTS, str(SERVERS))
    assert "no port is left for a client here" in fault
    assert len(findings) == 8
    for finding in findings:
        _, state, reason = finding.split(maxsplit=2)
        assert state == "skipped", finding
        assert "no port left" in reason or "descriptors" in reason


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1000])
def test_restart_is_judged_only_where_the_port_was_in_time_wait(room: int) -> None:
    findings = said_in_a_network_of_its_own(WITHOUT_TIME_WAIT, str(SERVERS), str(room))
    states = [finding.split()[1] for finding in findings]
    assert states == (["passed", "failed", "passed"] if room else ["skipped"] * 3), findings
    assert room or all("net.ipv4.tcp_max_tw_buckets" in finding for finding in findings)
