"""Saying something though nobody has spoken: from outside, in time, and within bounds."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import CLOSE, Echo, Limits, Service, Stream, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer


def test_program_speaks_to_all_who_are_there(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as one, Client(server) as two:
            while len(server.peers) < 2:
                await asyncio.sleep(0)
            server.deliver([(server.peers, b"hello")])
            assert await one.receive() == await two.receive() == b"hello"
            where = {peer.address for peer in server.peers}
            assert where == {one._sock.getsockname(), two._sock.getsockname()}
            for peer in server.peers:
                if peer.address == one._sock.getsockname():
                    server.deliver([(peer, b"bye"), (peer, CLOSE)])
            assert await one.receive_rest() == b"bye"

    run(main())


def test_another_thread_speaks_by_way_of_the_loop(run: Run[Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serve(Echo(), ANY) as server, Client(server) as client:
            while not server.peers:
                await asyncio.sleep(0)
            said = [(server.peers, b"from a thread")]
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(server.deliver, said))
            thread.start()
            assert await client.receive() == b"from a thread"
            thread.join()

    run(main())


def test_peers_of_handlers_can_be_told_something_as_well() -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()

    with MemoryServer(handler) as server:
        peer = server.connect()
        server.deliver([(server.peers, b"news")])
        assert peer.received == b"news"


def test_who_does_not_read_what_is_delivered_is_dropped_within_the_bound() -> None:
    with MemoryServer(Echo(), limits=Limits(outbox=1 << 20)) as server:
        slow, quick = server.connect(reads=False), server.connect()
        for _ in range(40):
            server.deliver([(server.peers, bytes(1 << 16))])
        assert slow.closed is CloseReason.SLOW_READER
        assert len(quick.received) == 40 << 16


@pytest.mark.parametrize("what", ["text", 5, None])
def test_what_is_neither_bytes_nor_a_close_is_a_mistake_of_the_caller(what: Any) -> None:
    with MemoryServer(Echo()) as server:
        peer = server.connect()
        with pytest.raises(TypeError, match="must be bytes, or CLOSE"):
            server.deliver([(server.peers, what)])
        peer.send(b"still there")
        assert peer.received == b"still there"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ([([], "text")], r"^str was delivered; it must be bytes, or CLOSE: text\.encode\(\)$"),
        ("hi", "^'h' is no delivery; it must be a pair"),
        (["hi"], "^'hi' is no delivery; it must be a pair"),
        (b"news", "is no delivery; it must be a pair"),
        ([b"news"], "^b'news' is no delivery; it must be a pair"),
    ],
)
def test_what_is_no_pair_is_told_also_where_nobody_is_there(what: Any, said: str) -> None:
    with MemoryServer(Echo()) as server, pytest.raises(TypeError, match=said):
        server.deliver(what)


@pytest.mark.parametrize("answer", ["hi", ["hi"], [b"a", b"b"], [("peer", "text")]])
def test_service_that_answers_with_text_is_told_that_it_must_be_bytes(
    caplog: Any, answer: Any
) -> None:
    class Says(Service):
        def receive_data(self, peer: Any, data: bytes) -> Any:
            return [(peer, "text")] if answer == [("peer", "text")] else answer

    with MemoryServer(Says()) as server:
        peer = server.connect()
        peer.send(b"x")
        assert peer.closed is CloseReason.ERROR
        assert server.datagram(b"x") == []
    over_tcp, over_udp = [record.exc_info[1] for record in records(caplog) if record.exc_info]
    for error in (over_tcp, over_udp):
        assert isinstance(error, TypeError)
        assert "must be" in str(error)
        assert "bytes" in str(error)


def test_server_that_does_not_serve_has_nobody_to_speak_to() -> None:
    server = serve(Echo(), ANY)
    for ask in (lambda: server.peers, lambda: server.deliver([]), lambda: server.draining):
        with pytest.raises(RuntimeError, match="has not been entered"):
            ask()


# In time.


class Ticks(Service):
    def __init__(self, every: float) -> None:
        self.tick_every = every
        self.times: list[float] = []
        self.peers: list[Any] = []

    def connect(self, peer: Any) -> Any:
        self.peers.append(peer)

    def receive_data(self, peer: Any, data: bytes) -> Any:
        return data

    def tick(self, now: float) -> Any:
        self.times.append(now)
        return [(self.peers, b".")]


def test_service_speaks_in_time() -> None:
    service = Ticks(10.0)
    with MemoryServer(service) as server:
        peer = server.connect()
        server.advance(35)
        assert peer.received == b"..."
        assert service.times == pytest.approx([10, 20, 30], abs=0.5)


def test_tick_that_raises_is_logged_and_comes_again(caplog: Any) -> None:
    class Fails(Ticks):
        def tick(self, now: float) -> Any:
            super().tick(now)
            raise ValueError("of the program")

    service = Fails(1.0)
    with MemoryServer(service) as server:
        peer = server.connect()
        server.advance(3.5)
        peer.send(b"x")
        assert peer.received == b"x"
    assert len(service.times) == 3
    assert "the service failed to tick" in records(caplog)[0].getMessage()


def test_ticks_that_were_missed_are_left_out(run: Run[Any]) -> None:
    service = Ticks(0.05)

    async def main() -> None:
        async with serve(service, ANY):
            while not service.times:
                await asyncio.sleep(0.01)
            threading.Event().wait(0.5)  # the loop is held up
            service.times.clear()
            while len(service.times) < 2:
                await asyncio.sleep(0.01)
            assert service.times[1] - service.times[0] > 0.02

    run(main())


# Without waiting.


def test_pushes_go_to_who_reads_and_nobody_waits_for_the_others() -> None:
    streams: list[Stream] = []

    async def handler(stream: Stream) -> None:
        streams.append(stream)
        await stream.receive()

    with MemoryServer(handler, limits=Limits(outbox=1 << 20)) as server:
        quick, slow = server.connect(), server.connect(reads=False)
        went = [[stream.send_nowait(bytes(1 << 18)) for stream in streams] for _ in range(6)]
        assert [each[0] for each in went] == [True] * 6
        assert [each[1] for each in went] == [True] * 4 + [False] * 2
        assert [stream.pending for stream in streams] == [0, 1 << 20]
        assert len(quick.received) == 6 << 18
        slow.start_reading()
        assert len(slow.received) == 4 << 18  # whole pieces, and it is still there
        assert streams[1].pending == 0
        assert streams[1].send_nowait(b"again")


def test_push_to_who_is_gone_or_closed_says_so() -> None:
    streams: list[Stream] = []

    async def handler(stream: Stream) -> None:
        streams.append(stream)
        if await stream.receive() == b"close":
            stream.close()

    with MemoryServer(handler) as server:
        gone, closed = server.connect(), server.connect()
        gone.reset()
        closed.send(b"close")
        assert [stream.send_nowait(b"x") for stream in streams] == [False, False]
        with pytest.raises(TypeError, match="send_nowait"):
            streams[0].send_nowait("text")  # type: ignore[arg-type]
