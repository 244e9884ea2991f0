"""Before a model is measured: does it do what its workload asks of it at all?"""

from __future__ import annotations

from compare.check.bench import Subject
from compare.check.catalogue import Profile, of_profile
from compare.check.runner import run, run_together
from compare.host.launch import LaunchError
from compare.models.matrix import Model, Workload

SEED = 7
PROFILE_OF: dict[str, Profile] = {
    "echo": "tcp-echo",
    "udp-echo": "udp-echo",
    "chat": "chat",
}
# What takes no time, and one server can be asked all of it.
QUICK = ("tcp/1", "tcp/2", "tcp/4", "tcp/5", "tcp/18", "udp/1", "udp/6", "chat/4")


def why_not(model: Model, workload: Workload) -> str | None:
    """Which check the model fails, in words; None if it may be measured.

    A server of somebody else's passes all MUST checks of its profile; ours, which are held to
    them by the tests, a handful.
    """
    if model.reference or model.unchecked:
        return None
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
        return str(error)
    failed = [each for each in findings if each.state == "failed"]
    if not failed:
        return None
    first = failed[0]
    if not first.started:
        return first.actual
    also = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return (
        f"it fails {first.id}{also}: expected {first.expected}, but {first.actual}; compare "
        f"explain {first.id} tells more, --unchecked measures it all the same"
    )
