"""What goes wrong between a hospital and us: repeats, lost acknowledgements, replays, disorder, lateness, reused ids.

None of it changes the truth of a stay (simulate_pathways.Expected). A clock that is wrong is a hospital's `skew_us`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mappers.hl7v2.simulate import MINUTE
from mappers.hl7v2.simulate_pathways import Sent

SECOND = 1_000_000


@dataclass(frozen=True)
class Delivery:
    """One sending. sent: the message; at_us: when it leaves; kind: first, or the fault that made it.

    unread: the sender closes before the acknowledgement comes, and sends again.
    """

    sent: Sent
    at_us: int
    kind: str = "first"
    unread: bool = False

    @property
    def payload(self) -> bytes:
        return self.sent.payload


class Fault(NamedTuple):
    """What it does, in words, and the work."""

    tells: str
    work: Callable[[random.Random, list[Delivery]], list[Delivery]]


def faulty(rng: random.Random, messages: Iterable[Sent], names: Collection[str]) -> list[Delivery]:
    """The deliveries of these messages with these faults, in the order in which they leave."""
    found = [Delivery(one, one.at_us) for one in messages]
    for name, fault in FAULTS.items():
        if name in names:
            found = fault.work(rng, found)
    return sorted(found, key=lambda one: one.at_us)


def _some(rng: random.Random, deliveries: Sequence[Delivery], share: float) -> list[Delivery]:
    return [one for one in deliveries if rng.random() < share]


def _duplicates(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    again = [one for one in _some(rng, deliveries, 0.25) for _ in range(rng.randint(1, 4))]
    return deliveries + [replace(one, at_us=one.at_us + rng.randint(0, 90) * SECOND, kind="duplicate") for one in again]


def _lost_acks(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    lost = _some(rng, deliveries, 0.1)
    return deliveries + [replace(one, kind="lost-ack", unread=True) for one in lost]


def _replays(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    """Everything once more, as after an upgrade of the sender: under new control ids, later."""
    if not deliveries:
        return deliveries
    after = max(one.at_us for one in deliveries)
    firsts = [one for one in deliveries if one.kind == "first" and rng.random() < 0.5]
    return deliveries + [
        replace(one, sent=_renamed(one.sent, n), at_us=after + n * SECOND, kind="replay")
        for n, one in enumerate(firsts)
    ]


def _renamed(sent: Sent, number: int) -> Sent:
    head, _, rest = sent.payload.partition(b"\r")
    fields = head.split(b"|")
    control_id = f"{sent.control_id}R{number}"
    fields[9] = control_id.encode()
    return replace(sent, payload=b"|".join(fields) + b"\r" + rest, control_id=control_id)


def _disorder(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    """As parallel queues of an engine do: any order."""
    times = sorted(one.at_us for one in deliveries)
    shuffled = rng.sample(deliveries, len(deliveries))
    return [replace(one, at_us=at) for one, at in zip(shuffled, times, strict=True)]


def _late(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    late = set(map(id, _some(rng, deliveries, 0.1)))
    return [
        replace(one, at_us=one.at_us + rng.randint(60, 1200) * MINUTE, kind="late") if id(one) in late else one
        for one in deliveries
    ]


def _reused_ids(rng: random.Random, deliveries: list[Delivery]) -> list[Delivery]:
    """A counter that was reset: a control id that another message of the same sender had already."""
    firsts = [one for one in deliveries if one.kind == "first"]
    for one in _some(rng, firsts[1:], 0.05):
        others = [o for o in firsts if o.sent.hospital == one.sent.hospital and o is not one]
        if others and one in deliveries:
            told = rng.choice(others).sent.control_id
            payload = one.payload.replace(f"|{one.sent.control_id}|".encode(), f"|{told}|".encode(), 1)
            sent = replace(one.sent, payload=payload, control_id=told)
            deliveries[deliveries.index(one)] = replace(one, sent=sent, kind="reused-id")
    return deliveries


FAULTS: dict[str, Fault] = {
    "reused-ids": Fault("a control id that another message had already", _reused_ids),
    "duplicates": Fault("messages sent up to five times", _duplicates),
    "lost-acks": Fault("acknowledgements that the sender never reads, and so sends again", _lost_acks),
    "replays": Fault("half of the messages once more under new control ids", _replays),
    "late": Fault("messages that come hours later", _late),
    "disorder": Fault("messages in any order", _disorder),
}
"""In the order in which they are laid over each other."""
