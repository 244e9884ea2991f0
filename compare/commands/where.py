"""Where cells are measured: on this machine, or on a cluster by --cluster and what goes with it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compare.cluster.needs import missing
from compare.cluster.several import Several, seats_of
from compare.commands.file import File
from compare.host.cores import Cores
from compare.host.place import Place
from compare.measure.block import Here
from compare.measure.testbed import Gone, Testbed
from compare.models.model import Model

if TYPE_CHECKING:
    from distributed.security import Security

MOST_LOCAL = 64
_LOCAL = re.compile(r"local:(\d{1,3})")
_ADDRESS = re.compile(r"(tcp|tls)://(.+):(\d{1,5})")


@dataclass(frozen=True)
class Where:
    """What was said of it; `cluster` is None on this machine."""

    cluster: str | None
    target: Place | None
    tls: tuple[Path, Path, Path] | None  # authority, certificate, key


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options; `where` makes one value of theirs."""
    file = File(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--insecure", is_flag=True, help="Let --cluster be plain TCP to other hosts."),
        click.option("--tls-key", type=file, help="The key of --tls-cert."),
        click.option("--tls-cert", type=file, help="Our certificate, for a tls:// scheduler."),
        click.option("--tls-ca", type=file, help="The authority that signed theirs and ours."),
        click.option(
            "--target",
            metavar="HOST:PORT",
            help="With --cluster: a server that stands there already, in the place of ours.",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Load from the workers of a Dask scheduler, tcp://HOST:8786, or from local:N.",
        ),
    ):
        command = option(command)
    return command


def where(
    cluster: str | None,
    target: str | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    *,
    insecure: bool,
    pythons: Sequence[str],
    sources: Sequence[str] = (),
) -> Where:
    """Raises click.UsageError and click.BadParameter for what cannot be meant."""
    tls = (tls_ca, tls_cert, tls_key)
    if cluster is None:
        for name, value in (
            ("--target", target),
            ("--tls-...", any(tls)),
            ("--insecure", insecure),
        ):
            if value:
                raise click.UsageError(f"{name} goes with --cluster.")
        return Where(None, None, None)
    if words := missing():
        raise click.UsageError(words)
    scheme = _scheme(cluster, insecure=insecure)
    if pythons and scheme != "local":
        raise click.UsageError(
            "--python is a program of this machine, and the servers run on others: start their "
            "workers with it instead."
        )
    if sources and scheme != "local":
        raise click.UsageError(
            "--source is a checkout of this machine, and the servers run on others."
        )
    if scheme == "tls" and not all(tls):
        raise click.UsageError("a tls:// scheduler needs --tls-ca, --tls-cert and --tls-key.")
    if scheme != "tls" and any(tls):
        raise click.UsageError(f"--tls-... goes with --cluster tls://..., not with {cluster}.")
    files = (tls_ca, tls_cert, tls_key) if tls_ca and tls_cert and tls_key else None
    return Where(cluster, _place(target) if target else None, files)


def _scheme(cluster: str, *, insecure: bool) -> str:
    if local := _LOCAL.fullmatch(cluster):
        if not 1 <= int(local[1]) <= MOST_LOCAL:
            raise click.BadParameter(
                f"{cluster}: from 1 to {MOST_LOCAL} drivers.", param_hint="'--cluster'"
            )
        return "local"
    address = _ADDRESS.fullmatch(cluster)
    if address is None:
        raise click.BadParameter(
            f"{cluster!r} is none of tcp://HOST:PORT, tls://HOST:PORT and local:N.",
            param_hint="'--cluster'",
        )
    scheme, host, _ = address.groups()
    if scheme == "tcp" and not insecure and not _is_here(host):
        raise click.BadParameter(
            f"{cluster} is not encrypted, and who reaches a Dask cluster can run code on it: use "
            "tls:// with --tls-ca, --tls-cert and --tls-key, or say --insecure.",
            param_hint="'--cluster'",
        )
    return scheme


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _place(target: str) -> Place:
    """Of a name the address at which somebody listens, be it for streams or datagrams."""
    host, colon, port = target.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise click.BadParameter(
            f"{target!r} is not HOST:PORT, such as 10.0.0.5:7000.", param_hint="'--target'"
        )
    try:
        tcp, udp = (
            Place(scheme, host.strip("[]"), int(port)).resolved() for scheme in ("tcp", "udp")
        )
    except OSError as error:
        raise click.BadParameter(
            f"{target}: {error.strerror}; give the address instead.", param_hint="'--target'"
        ) from None
    return tcp if tcp.host == udp.host or tcp.is_taken() else udp


def used(chosen: Where, drivers: int, cores: Cores, own: Sequence[Model]) -> set[int]:
    """The cores of this machine that servers and drivers are held to."""
    if chosen.cluster is not None:
        return os.sched_getaffinity(0) if _LOCAL.fullmatch(chosen.cluster) else set()
    seats = {each for each in seats_of(drivers, cores) if each is not None}
    return cores.named | seats | {core for each in own for core in each.cores}


@contextlib.contextmanager
def joined(chosen: Where, drivers: int, cores: Cores) -> Iterator[Testbed]:
    """This machine, with so many drivers; or the cluster that was asked for, started if it is a
    local one.

    Raises click.ClickException.
    """
    if chosen.cluster is None:
        yield Several(drivers, cores) if drivers > 1 else Here()
        return
    from compare.cluster.hosts import ClusterError, Hosts
    from compare.cluster.local import LocalCluster
    from compare.cluster.testbed import Cluster

    click.echo(f"joining {chosen.cluster}", err=True)
    with contextlib.ExitStack() as stack:
        try:
            address = chosen.cluster
            if local := _LOCAL.fullmatch(address):
                workers = LocalCluster(int(local[1]), server=chosen.target is None)
                address = stack.enter_context(workers)
            hosts = stack.enter_context(Hosts(address, _security(chosen)))
            cluster = Cluster(hosts, chosen.target)
        except (ClusterError, Gone) as error:
            raise click.ClickException(str(error)) from None
        yield cluster


def _security(chosen: Where) -> Security | None:
    from distributed.security import Security

    if chosen.tls is None:
        return None
    authority, certificate, key = map(str, chosen.tls)
    return Security(
        tls_ca_file=authority,
        tls_client_cert=certificate,
        tls_client_key=key,
        require_encryption=True,
    )
