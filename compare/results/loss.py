"""Datagrams that were lost in an open loop, in words: how many, and where."""

from __future__ import annotations

from collections.abc import Sequence

from compare.contract.loss import Loss, total
from compare.results.records import Round


def loss_of(rounds: Sequence[Round]) -> Loss | None:
    """Of all rounds together; None but of an open loop of datagrams."""
    return total(each.pace.loss for each in rounds if each.pace)


def lost_share(rounds: Sequence[Round]) -> float:
    """Of the datagrams that were sent, those that never came back, or too late."""
    lost = sum(each.errors.get(name, 0) for each in rounds for name in ("lost", "late"))
    return lost / max(1, sum(each.sent for each in rounds))


def missing(each: Round) -> tuple[int, int]:
    """Datagrams that the server had and that did not come in time, and of how many.

    Those of the warm-up are lost, too, and count; but in an open loop only what was in the window,
    where it is known what the server never had.
    """
    lost, late = (each.errors.get(name, 0) for name in ("lost", "late"))
    loss = loss_of([each])
    if loss is None:
        return lost + late, each.sent or each.operations
    return min(loss.unexplained, lost_anyway(loss, [each])) + late, loss.due


def is_pressed(rounds: Sequence[Round]) -> bool:
    """Whether a server that answers had more sent to it than its buffer holds."""
    loss = loss_of(rounds)
    return bool(loss and loss.server_buffer and any(each.operations for each in rounds))


def lost_anyway(loss: Loss, rounds: Sequence[Round]) -> int:
    """Of what was lost, what the server would have had no more of at a lower rate."""
    if loss.server_buffer is not None:
        return loss.lost - loss.server_buffer
    # Of several drivers none sees it; those of the warm-up are among the server's.
    return max(0, loss.lost - sum(each.server.dropped or 0 for each in rounds))


def by_driver(loss: Loss, tolerated: float) -> str:
    """What is to be said where the driver lost more than such a share itself."""
    if loss.at_driver <= tolerated * loss.due:
        return ""
    return (
        f"{percent(loss.at_driver, loss.due)} of the datagrams due were lost by the driver: ask "
        "for a lower rate, or more --connections"
    )


def what_was_lost(rounds: Sequence[Round]) -> list[str]:
    """In words: of an open loop what was due, and whatever the kernel dropped at the server."""
    loss = loss_of(rounds)
    lost = [in_words(loss, rounds[0].server.receive_buffer)] if loss and loss.lost else []
    if dropped := sum(each.server.dropped or 0 for each in rounds):
        lost.append(
            f"the kernel dropped {dropped} datagrams: they came faster than the server read them, "
            "and its receive buffer was full (net.core.rmem_default)"
        )
    return lost


def in_words(loss: Loss, receive_buffer: int | None) -> str:
    """How much of what was due was lost, and where: the largest part first."""
    known = loss.server_buffer is not None
    size = f" of {receive_buffer:,} bytes" if receive_buffer else ""
    parts = [
        (loss.server_buffer or 0, f"found the server's receive buffer{size} full (SO_RCVBUF)"),
        (loss.driver_buffer or 0, "found the driver's own full on their way back"),
        (loss.unsent, "the driver could not send"),
        (loss.unexplained, "were never answered" if known else "where no driver could see it"),
    ]
    told = [
        f"{percent(many, loss.due)} {what}" for many, what in sorted(parts, reverse=True) if many
    ]
    return f"{percent(loss.lost, loss.due)} of the datagrams due were lost: {', '.join(told)}"


def percent(many: int, due: int) -> str:
    """Of what was due; what is little is not nothing."""
    share = many / due if due else 0.0
    return f"{share:.1%}" if share >= 0.0005 or not many else "< 0.1%"
