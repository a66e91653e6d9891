"""Starts the receiver of receiver.py, tells it how to behave, reads what it wrote down; and what must hold of that."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from service.cli.processes import die_with_parent
from tests.postgres_server import free_port
from tests.scenarios.harness import ROOT

FAULTS = {"5xx": 0.30, "timeout": 0.10, "reset": 0.05}


@dataclass(frozen=True)
class Arrival:
    """A notification as it came. events: (number, focus or ""). said: ok, or the fault that it met."""

    at: float
    path: str
    said: str
    subscription: str
    kind: str
    events: tuple[tuple[int, str], ...]
    words: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.said == "ok"


@dataclass
class Receiver:
    port: int
    log: Path

    def behave(self, faults: dict[str, float] | None = None, dead: Sequence[str] = (), most: int = 0) -> None:
        """most: faults in a row at one path."""
        order = {"faults": faults or {}, "dead": list(dead), "most": most}
        httpx.post(f"http://127.0.0.1:{self.port}/control", json=order, timeout=20).raise_for_status()

    def endpoint(self, host: int, path: str) -> str:
        """A URL on loopback; each number is another host."""
        return f"http://{self.address(host)}{path}"

    def address(self, host: int) -> str:
        """`host:port`, as ENLACE_EGRESS_ALLOW takes it."""
        return f"127.0.1.{1 + host}:{self.port}"

    def arrivals(self) -> list[Arrival]:
        """Events and test events, in the order of arrival; handshakes and heartbeats aside."""
        return [one for one in self.everything() if one.kind == "event-notification"]

    def everything(self) -> list[Arrival]:
        found = []
        for line in self.log.read_text().splitlines():
            facts = json.loads(line)
            events = tuple((number, focus) for number, focus in facts["events"])
            found.append(
                Arrival(facts["at"], facts["path"], facts["said"], facts["subscription"], facts["kind"], events,
                        tuple(facts.get("words", ())))
            )  # fmt: skip
        return found


@contextmanager
def receiver(folder: Path, seed: int) -> Iterator[Receiver]:
    port, log = free_port(), folder / "received.jsonl"
    log.touch()
    command = [sys.executable, "-m", "tests.scenarios.notify.receiver", str(port), str(log), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    try:
        assert process.stdout
        assert process.stdout.readline().strip() == "ready"
        yield Receiver(port, log)
    finally:
        process.kill()
        process.communicate()


@dataclass
class Heard:
    """What one subscription got. focus: number -> the focus told (as long as one was). ok: numbers that arrived, in
    the order of their first arrival with 2xx."""

    focus: dict[int, str] = field(default_factory=dict)
    ok: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    again: int = 0


def heard(arrivals: Sequence[Arrival], kills: Sequence[float], doubted: dict[str, set[int]]) -> dict[str, Heard]:
    """Reads the log by subscription; what no receiver may ever see is a problem.

    kills: instants of SIGKILLs. doubted: subscription -> numbers of which the ledger has an attempt that failed though
    the receiver answered (its answer came late): they may come again.
    """
    found: dict[str, Heard] = defaultdict(Heard)
    last: dict[tuple[str, int], Arrival] = {}
    emptied: set[tuple[str, int]] = set()
    for one in arrivals:
        mine = found[one.subscription]
        numbers = [number for number, _ in one.events]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            mine.problems.append(f"numbers of one notification: {numbers}")
        awaited = max(mine.ok, default=0) + 1
        if numbers[0] > awaited:
            mine.problems.append(f"{numbers[0]} came before {awaited} had arrived")
        for number, focus in one.events:
            key = (one.subscription, number)
            if focus and mine.focus.setdefault(number, focus) != focus:
                mine.problems.append(f"{number} told of {mine.focus[number]}, then of {focus}")
            if focus and key in emptied:
                mine.problems.append(f"{number} was empty, then told of {focus}")
            if not focus:
                emptied.add(key)
            before = last.get(key)
            if before is not None:
                mine.again += 1
                excused = number in doubted.get(one.subscription, ()) or any(
                    before.at - 1 <= at <= one.at for at in kills
                )
                if before.ok and not excused:
                    mine.problems.append(f"{number} came again without a fault")
            last[key] = one
            if one.ok and number not in mine.ok:
                mine.ok.append(number)
    for mine in found.values():
        if mine.ok != list(range(1, len(mine.ok) + 1)):
            mine.problems.append(f"arrived in this order: {mine.ok[:60]}")
    return dict(found)
