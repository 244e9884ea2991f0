"""A connection without any I/O: no socket, no thread, no loop, no clock.

All that is hard about a connection stands here once, for every shell: its end, exactly once and
for one reason; half-close and linger; back-pressure and bounds; deadlines, drain, and TLS. A shell
reads, gives what came to the `Hub`, writes what that gives back, and waits.
"""

from aionet.core.failure import let_exits_pass
from aionet.core.hub import Hub, Shell, hub_class
from aionet.core.peer import Peer, State, Todo

__all__ = ["Hub", "Peer", "Shell", "State", "Todo", "hub_class", "let_exits_pass"]
