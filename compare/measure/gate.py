"""Before a model is measured: does it do what its workload asks of it, and what else not?"""

from __future__ import annotations

from collections.abc import Sequence

from compare.check.bench import Subject
from compare.check.catalogue import CHECKS, Profile, of_profile
from compare.check.runner import Finding, run, run_together
from compare.host.launch import LaunchError
from compare.measure.testbed import Held
from compare.models.matrix import Model, Workload

SEED = 7
PROFILE_OF: dict[str, Profile] = {
    "echo": "tcp-echo",
    "udp-echo": "udp-echo",
    "chat": "chat",
}
# What takes no time, and one server can be asked all of it.
QUICK = ("tcp/1", "tcp/2", "tcp/4", "tcp/5", "tcp/18", "udp/1", "udp/6", "chat/4")


def hold(model: Model, workload: Workload) -> Held:
    """Hold it to checks: a server of somebody else's to all MUST of its profile.

    Ours, which are held to them by the tests, are held to a handful. Who does not start, or whose
    answer has other bytes than it should, is not measured: its speed would be that of something
    else. What it does wrong besides, such as with clients that are reset, is told.
    """
    if model.reference or model.unchecked:
        return Held()
    profile = PROFILE_OF[workload.service]
    subject = Subject(
        profile,
        tuple(model.argv(workload)),
        cwd=model.cwd,
        env=model.surroundings,
        ready_timeout_s=model.ready_timeout_s,
    )
    ids = [
        each.id
        for each in of_profile(profile)
        if each.kind == "MUST" and each.id not in model.exceptions
    ]
    try:
        if model.own:
            findings = list(run(subject, ids, SEED, lambda text: None, alone=model.alone))
        else:
            findings = list(
                run_together(
                    subject, [each for each in ids if each in QUICK], SEED, alone=model.alone
                )
            )
    except LaunchError as error:
        return Held(barred=str(error))
    return _held([each for each in findings if each.state == "failed"])


def _held(failed: Sequence[Finding]) -> Held:
    if not failed:
        return Held()
    grave = [each for each in failed if not each.started or CHECKS[each.id].content]
    first = (grave or failed)[0]
    if not first.started:
        return Held(barred=first.actual)
    ids = ",".join(each.id for each in failed)
    told, more = f"it fails {ids.replace(',', ', ')}", f"compare check --only {ids} says how"
    if not grave:
        return Held(told=f"{told}: {more}")
    anyway = "--unchecked measures it all the same"
    whose = f"{first.id}: " if len(failed) > 1 else ""
    return Held(barred=f"{told}. {whose}{first.likely} {more}, and {anyway}")
