"""What handling a message costs a server beyond echoing it, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Handler:
    """work_us: CPU of each message. wait_us: until it is answered, as for a database.

    slow_us: CPU of `slow_share` of the messages, beside that; drawn by `seed`. size: of a message,
    in bytes, where the service does not know where one ends.
    """

    work_us: float = 0.0
    wait_us: float = 0.0
    slow_share: float = 0.0
    slow_us: float = 0.0
    size: int = 1
    seed: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether it is as if it were not there."""
        return not (self.work_us or self.wait_us or self.slow_share)

    def around(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command `-m MODULE ...` of one of our servers, with this in it."""
        if self.is_plain:
            return command
        return (
            *("-m", "compare.contenders.loaded"),
            *("--work", f"{self.work_us:.10g}", "--wait", f"{self.wait_us:.10g}"),
            *("--slow-share", f"{self.slow_share:.10g}", "--slow", f"{self.slow_us:.10g}"),
            *("--size", str(self.size), "--seed", str(self.seed)),
            *command[1:],
        )


PLAIN = Handler()
