"""A load: what all servers of a block are put under alike."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compare.contract.counts import Many as Many
from compare.contract.counts import Whole as Whole
from compare.contract.spec import Handshake

# What nobody can have measured is refused when it is read, from a file that was edited.
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]
Ratio = Annotated[float, msgspec.Meta(gt=0)]
Number = Annotated[float, msgspec.Meta(gt=-1e18, lt=1e18)]
Loop = Literal["closed", "open"]


class Load(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """What all servers of a block are put under alike.

    size: of a message, in bytes. idle: connections that stand beside those that work.
    cores: so many of the server's, 0 being all.
    work_us: CPU that the server takes for each message; slow_us: for a `slow_share` of them, beside
    that. wait_us: from the last byte of a message until it answers.
    tls: the handshakes of connections; none is plain TCP.
    In an open loop so many operations are due in a second: `rate`, or `share` of what the model
    does in a closed one; or where there is neither, as many as keep the promise of the run.
    """

    workload: str
    connections: Many
    size: Many
    idle: Many = 0
    work_us: Amount = 0.0
    wait_us: Amount = 0.0
    slow_share: Amount = 0.0
    slow_us: Amount = 0.0
    tls: Handshake = "none"
    loop: Loop = "closed"
    rate: Number | None = None
    share: Number | None = None
    cores: Many = 0

    @property
    def load(self) -> Load:
        """This alone, of what has more beside it."""
        return Load(**{name: getattr(self, name) for name in Load.__struct_fields__})

    @property
    def is_handled(self) -> bool:
        """Whether a message costs the server more than its service."""
        return bool(self.work_us or self.wait_us or self.slow_share)

    @property
    def is_promise(self) -> bool:
        """Whether each model has a rate of its own: the highest that keeps a promise."""
        return self.loop == "open" and self.rate is None and self.share is None

    @property
    def is_whole(self) -> bool:
        """Whether a round of it is one window and not slices: datagrams in an open loop.

        In a short slice most of what is too much for a server would be in its receive buffer.
        """
        return self.workload == "udp-echo" and self.loop == "open"

    @property
    def closed(self) -> Load:
        """The same in a closed loop."""
        return msgspec.structs.replace(self.load, loop="closed", rate=None, share=None)


class Slow(msgspec.Struct, frozen=True):
    """So large a share of the messages takes so much CPU."""

    share: Amount
    us: Amount
