"""One server's turns: begin, leave out the first moments, count a window, wait for what is left.

Between its turns nothing is under way to a server, so that others can have theirs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from time import perf_counter_ns, process_time_ns

from compare.contract.histogram import encode, fold
from compare.contract.loss import Loss, total
from compare.contract.outcome import LATE_NS, UNSURE, Outcome, Pace, Sizes, Slice
from compare.contract.plan import Plan
from compare.contract.spec import HOME_S, Spec, Target
from compare.contract.trace import Trace
from compare.driver.load import LEAD_S, OPEN_TIMEOUT_S, REPLY_TIMEOUT_S, TICK_NS, Load, Workload
from compare.driver.meter import Dropped, Meter, TimeWait, dropped_at, sizes_of
from compare.driver.trace import trace
from compare.driver.warmup import warm_up
from compare.host import process

READ_S = 0.001
PATIENCE_S = 0.5  # at a time, of a closed loop while the server works


class Window:
    """What of a turn is measured: which operations and sends belong to it.

    The rate is that of operations completed in it. Latencies are of those that began in it, in an
    open loop were due in it, whenever they were completed: whether one counts must not depend on
    how long it took, or the long ones that its end cuts off would be missing.
    """

    def __init__(self, load: Load, look: Callable[[], Dropped]) -> None:
        """`look`: how many datagrams the kernel has dropped so far."""
        self._load = load
        self._look = look
        self._waited = process.waited_ns()
        self._cpu = process_time_ns()
        self.began = perf_counter_ns()
        load.offer_due(self.began)
        self._dropped = look()
        self._first = len(load.samples)
        self._before = len(load.lateness), load.offered

    def end(self) -> None:
        load = self._load
        self.ended = perf_counter_ns()
        self.driver_cpu_ns = process_time_ns() - self._cpu
        self.driver_wait_ns = process.waited_ns() - self._waited
        load.offer_due(self.ended)
        load.offer_no_more()
        # A datagram is dropped as it is sent.
        self._at_server = self._look().since(self._dropped).server
        self._sends = self._before[0], len(load.lateness)
        self.offered = load.offered - self._before[1]
        self.operations = len(load.samples) - self._first

    def close(self) -> None:
        """All that was under way is home, or given up."""
        self.home = perf_counter_ns()
        self._at_driver = self._look().since(self._dropped).clients

    def loss(self) -> Loss:
        """Of its datagrams, once no more are expected."""
        load = self._load
        return Loss(
            due=self.offered,
            lost=sum(map(self.holds, chain(load.lost, load.missed))),
            server_buffer=self._at_server,
            driver_buffer=self._at_driver,
            unsent=sum(map(self.holds, load.unsent)),
        )

    def holds(self, start: int) -> bool:
        return self.began <= start < self.ended

    def lateness(self) -> array[int]:
        first, last = self._sends
        return self._load.lateness[first:last]


class Turns:
    """The load on one server, turn by turn."""

    def __init__(self, spec: Spec, target: Target, told: Callable[[], None] | None) -> None:
        self.spec = spec
        self._target = target
        self.load = Load(spec, target, told)
        self.workload = workload_of(spec)(self.load)
        self._closed = TimeWait(target, spec.workload)
        self._meter = Meter(target.pid) if target.pid is not None else None
        self._paced = target.rate is not None
        self._slices: list[Slice] = []
        self._windows: list[Window] = []
        self._warmup_ns = 0
        self._settled = False
        self._gave_up: str | None = None
        self._picture: Trace | None = None

    @property
    def over(self) -> bool:
        """Whether another turn would show nothing."""
        return bool(self._gave_up) or bool(self._slices and self.workload.idle())

    def usual_s(self) -> float:
        """The median latency so far; 0 where there is none."""
        samples = sorted(self.load.samples)
        return samples[len(samples) // 2] / 1e9 if samples else 0.0

    def warm_up(self) -> None:
        """Drive until the rate no longer drifts, and let everything come home."""
        began = perf_counter_ns()
        if not self.workload.idle():
            self._begin()
            self._settled = warm_up(self.load, self.workload.tick, self.spec.warmup_s)
            self.load.look_at_server()
            self._come_home(self.workload.under_way)
        else:
            self._settled = True
        self._warmup_ns = perf_counter_ns() - began

    def take(self, slice_s: float, lead_s: float = LEAD_S, plan: Plan | None = None) -> None:
        """A turn; of several drivers begun together, and its window at the agreed instant."""
        load, workload = self.load, self.workload
        cpu_ns = self._cpu_ns(Meter.begin)
        began, first = perf_counter_ns(), len(load.samples)
        idle = workload.idle()
        if not idle:
            self._begin(plan.begin_ns if plan else None)
        if plan:
            self._settled = warm_up(load, workload.tick, self.spec.warmup_s, plan.window_ns)
            self._warmup_ns = plan.window_ns - plan.begin_ns
        else:
            load.run(lead_s, workload.tick)
        window = Window(load, self._dropped)
        load.run(TICK_NS / 1e9 if idle else slice_s, workload.tick)
        window.end()
        self._come_home(workload.unanswered if plan else workload.under_way)
        window.close()
        turn_ns = window.home - began
        used = None
        if cpu_ns is not None and (after := self._cpu_ns(Meter.end)) is not None:
            used = after - cpu_ns
        self._windows.append(window)
        self._slices.append(
            Slice(
                window_ns=window.ended - window.began,
                operations=window.operations,
                driver_cpu_ns=window.driver_cpu_ns,
                driver_wait_ns=window.driver_wait_ns,
                turn_ns=turn_ns,
                turn_operations=len(load.samples) - first,
                cpu_ns=used,
            )
        )

    def take_picture(self) -> None:
        """Of when some of the connections wait; of a closed loop."""
        latencies = self.load.samples
        if self._paced or not latencies or self._gave_up:
            return
        if self._meter:
            self._meter.close()
        self._begin()
        self._picture = trace(self.load, self.workload, sum(latencies) / len(latencies))
        self._come_home(self.workload.under_way)

    def finish(self) -> Outcome:
        """No more turns: wait for what might still come, and say what was seen."""
        load, workload = self.load, self.workload
        if self._meter:
            self._meter.close()
        load.look_at_server()
        load.run(READ_S, workload.tick)  # what came while others had their turns
        load.run(self._patience_s(), workload.tick, done=lambda: not workload.unanswered())
        sizes = sizes_of(self._target, self.spec.workload, self._closed)
        workload.finish()
        return self._outcome(sizes)

    def _begin(self, start: int | None = None) -> None:
        self.load.sending = True
        if self._target.rate is None:
            self.workload.begin()
        else:
            self.load.keep_to_schedule(self.workload, self._target.rate, start)

    def _come_home(self, under_way: Callable[[], object]) -> None:
        """In an open loop what was due and waits is still sent."""
        load, workload = self.load, self.workload
        load.offer_no_more()
        if not self._paced:
            load.sending = False
            workload.pause()
        patience_s = self._patience_s()
        load.run(patience_s, workload.tick, done=lambda: not under_way())
        while not self._paced and under_way() and patience_s < HOME_S and self._works():
            load.run(PATIENCE_S, workload.tick, done=lambda: not under_way())
            patience_s += PATIENCE_S
        load.quiet_ns()  # from now on, if nothing more comes
        if waiting := workload.under_way():
            replies = "1 reply" if waiting == 1 else f"{waiting} replies"
            self._gave_up = f"{replies} did not come within {patience_s:g} s"
            if self._target.pid is not None:
                self._gave_up += f": the server {process.doing(self._target.pid)}"

    def _dropped(self) -> Dropped:
        """Of an open loop of datagrams; nothing is known where the server is somebody else's."""
        if self._target.pid is None or not (self._paced and self.spec.workload == "udp-echo"):
            return Dropped()
        return dropped_at(self._target.port)

    def _works(self) -> bool:
        """Whether the server is at it, or would be if something else had not its core."""
        pid = self._target.pid
        return pid is not None and process.doing(pid).startswith("runs")

    def _patience_s(self) -> float:
        return OPEN_TIMEOUT_S if self._paced else REPLY_TIMEOUT_S

    def _cpu_ns(self, look: Callable[[Meter], int]) -> int | None:
        """None where it is not ours to know, or the server died."""
        if self._meter is None:
            return None
        try:
            return look(self._meter)
        except ProcessLookupError:
            return None

    def _outcome(self, sizes: Sizes | None) -> Outcome:
        load, slices = self.load, self._slices
        samples, untimed = array("Q", self._of_windows(load.samples)), 0
        if load.clock_error_ns is not None:
            starts = array("Q", self._of_windows(load.starts))
            samples, untimed = timed_well(
                samples, starts, load.elsewhere_starts, load.clock_error_ns
            )
        if self._paced:
            samples.extend(home - due for due, home in self._missed())
        turns_ns = sum(each.turn_ns for each in slices)
        cpu_ns = sum(each.cpu_ns or 0 for each in slices)
        return Outcome(
            slices=slices,
            began_ns=self._windows[0].began if self._windows else perf_counter_ns(),
            late_ns=0,
            window_ns=sum(each.window_ns for each in slices),
            warmup_ns=self._warmup_ns,
            settled=self._settled,
            operations=sum(each.operations for each in slices),
            pace=self._pace(),
            latency=encode(fold(samples)),
            latency_sum_ns=sum(samples),
            latency_max_ns=max(samples, default=0),
            connect=encode(fold(load.connect_samples)),
            skew=encode(fold(load.skews)),
            counts=load.counts,
            errors={name: count for name, count in load.errors.items() if count},
            details=load.details,
            driver_cpu_ns=sum(each.driver_cpu_ns for each in slices),
            driver_wait_ns=sum(each.driver_wait_ns for each in slices),
            server=self._meter.usage(turns_ns, cpu_ns) if self._meter else None,
            sizes=sizes,
            peak_descriptors=load.peak_sockets,
            gave_up=self._gave_up,
            trace=self._picture,
            handshakes=load.tls.handshakes() if load.tls else None,
            untimed=untimed,
            sent=load.sent,
            room=load.room_log,
        )

    def _of_windows(self, values: array[int]) -> Iterator[int]:
        """Of values operation by operation, those of what began in a window, whenever done."""
        begun = [each.began for each in self._windows]
        ended = [each.ended for each in self._windows]
        for start, value in zip(self.load.starts, values, strict=True):
            place = bisect_right(begun, start) - 1
            if place >= 0 and start < ended[place]:
                yield value

    def _missed(self) -> list[tuple[int, int]]:
        """When those were due that were never answered, and when they were given up."""
        return [
            (due, window.home)
            for due in self.load.missed
            for window in self._windows
            if window.holds(due)
        ]

    def _pace(self) -> Pace | None:
        if self._target.rate is None:
            return None
        lateness = sorted(chain.from_iterable(each.lateness() for each in self._windows))
        return Pace(
            rate=self._target.rate,
            offered=sum(each.offered for each in self._windows),
            sends=len(lateness),
            late=len(lateness) - bisect_right(lateness, LATE_NS),
            lateness_p99_ns=lateness[len(lateness) * 99 // 100] if lateness else 0,
            missed=len(self._missed()),
            service=encode(fold(array("Q", self._of_windows(self.load.service)))),
            loss=total(each.loss() for each in self._windows)
            if self.spec.workload == "udp-echo"
            else None,
        )


def workload_of(spec: Spec) -> Callable[[Load], Workload]:
    """What makes one of its load."""
    if spec.tls is not None:
        of_tls: dict[str, Callable[[Load], Workload]]
        of_tls = import_module("compare.driver.tls").WORKLOADS
        return of_tls[spec.workload]
    module = import_module(f"compare.driver.{spec.workload.replace('-', '_')}")
    made: Callable[[Load], Workload] = module.Workload
    return made


def timed_well(
    samples: array[int], starts: array[int], elsewhere: set[int], error_ns: int
) -> tuple[array[int], int]:
    """Latencies of a room that others share, and how many are not among them.

    Those for which two clocks were needed are, by their starts, unless the clocks are less well
    known than a share of the median of the others.
    """
    both = zip(samples, starts, strict=True)
    ours = array("Q", (latency for latency, start in both if start not in elsewhere))
    if ours and error_ns > UNSURE * sorted(ours)[len(ours) // 2]:
        return ours, len(samples) - len(ours)
    return samples, 0
