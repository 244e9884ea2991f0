"""Test a service or a handler without sockets and without waiting: memory and a fake clock.

    with MemoryServer(Room()) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(b"ann\\n")
        bob.send(b"bob\\n")
        ann.send(b"hello\\n")
        assert bob.received.endswith(b"[ann] hello\\n")
        ann.finish()
        assert ann.closed is CloseReason.EOF
        server.advance(310)  # 300 is the default, and noticed a little later
        assert bob.closed is CloseReason.IDLE

Datagrams, TLS, and programs that do something by themselves are the same:

    with MemoryServer(app) as server:  # an app as of `run`, or a service with `tick_every`
        assert server.datagram(b"question") == [b"answer"]
        peer = server.connect(tls=client_context, server_hostname="localhost")
        server.advance(60)  # all that is due in a minute has happened

With pytest there is a fixture of that: `server = memory_server(Room())`, closed at the end of the
test. It is the code that serves real connections, limits and timeouts included; only the transport
and the clock are made up. Every call returns when all that it causes has happened.
"""

from aionet.testing.peer import Peer
from aionet.testing.server import MemoryServer

__all__ = ["MemoryServer", "Peer"]
