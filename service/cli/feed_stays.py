"""Whole stays at once, each a telling of a pathway, with faults; and whether the database ends as the pathways say."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from fhir_profiles import Resource
from mappers.hl7v2.simulate import MINUTE, Hospital
from mappers.hl7v2.simulate_faults import Delivery, faulty
from mappers.hl7v2.simulate_pathways import Expected, Sent, chosen, tell
from service.access.context import parse
from service.cli.feed import POSITIVE, County
from service.cli.mllp_client import Connection
from service.search.dates import parse as instant
from service.store import roster
from service.store.engine import Store

RECENT = 6 * 60
"""The last message of a stay was sent at most so many minutes ago."""
CIN_PLACES = ("both", "both", "in1", "bic")


@dataclass(frozen=True)
class Played:
    """deliveries: in the order in which they are sent. expected: the truth of each stay."""

    deliveries: tuple[Delivery, ...]
    expected: tuple[Expected, ...]

    def truth(self) -> bytes:
        """One JSON object a line."""
        return b"".join(orjson.dumps(asdict(one)) + b"\n" for one in self.expected)

    def messages(self) -> bytes:
        """A batch as `enlace adt import` takes it."""
        return b"".join(one.payload for one in self.deliveries)


def planned(
    around: County, now_us: int, *, stays: int, seed: int, names: Sequence[str], faults: Sequence[str]
) -> Played:
    """Each stay is of members who are nowhere else. Raises OSError, a sentence, where there are too few of them."""
    rng = random.Random(seed)
    free = [one for one in around.members.items() if one[1]["cin"] not in around.away]
    if len(free) < 2 * stays:
        raise OSError(0, f"{stays} stays need {2 * stays} members who are in no hospital; there are {len(free)}")
    people = rng.sample(free, 2 * stays)
    mark = f"s{seed}-{now_us // 1_000_000:x}"
    sent: list[Sent] = []
    expected: list[Expected] = []
    for number in range(stays):
        places = rng.sample(around.hospitals, 2) if len(around.hospitals) > 1 else [*around.hospitals] * 2
        hospitals = [_shape(rng, facts) for _, facts in places]
        who = [_echoed(rng, reference, facts, hospitals[0]) for reference, facts in people[2 * number : 2 * number + 2]]
        end = now_us - rng.randint(2, RECENT) * MINUTE
        story = tell(chosen(rng, names), rng, who, hospitals, end, f"{mark}-{number}")
        sent += story.messages
        expected += story.expected
    return Played(tuple(faulty(rng, sent, faults)), tuple(expected))


def _shape(rng: random.Random, hospital: Hospital) -> dict[str, Any]:
    return {**hospital, "cin_in": rng.choice(CIN_PLACES)}


def _echoed(rng: random.Random, reference: str, who: dict[str, Any], hospital: Hospital) -> dict[str, Any]:
    """A network knows half of its people by the id that our roster gave it."""
    if hospital.get("via") and rng.random() < 0.5:
        return {**who, "panel": reference.partition("/")[2]}
    return who


async def send_all(where: tuple[str, int], deliveries: Sequence[Delivery]) -> tuple[int, int]:
    """(sent, accepted), as fast as answers come. An acknowledgement that gets lost is one that nobody waits for."""
    accepted = lost = 0
    async with Connection(*where) as connection:
        for one in deliveries:
            if one.unread:
                async with Connection(*where) as other:
                    await other.drop(one.payload)
                lost += 1
            else:
                accepted += await connection.send(one.payload) in POSITIVE
    return len(deliveries), accepted + lost


async def differences(
    store: Store, expected: Sequence[Expected], seconds: float, tick: Callable[[], None] = lambda: None
) -> list[str]:
    """What is not as the pathways say, once the queue had up to `seconds`. A sentence each, without a name."""
    found: list[str] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        found = [words for truth in expected for words in await _different(store, truth)]
        if not found or loop.time() > until:
            return found
        tick()
        await asyncio.sleep(0.5)


async def _different(store: Store, truth: Expected) -> list[str]:
    numbered: list[Resource] = [parse(body) for body in await roster.stays_numbered(store, truth.visit)]
    standing = Counter(str(stay["status"]) for stay in numbered)
    taken = truth.status == "entered-in-error"
    fits = [stay for stay in numbered if (stay["status"] == "entered-in-error") == taken]
    if taken and not fits:
        return []  # the message that took it away came first
    name = f"Visit {truth.visit} ({truth.pathway})"
    if len(fits) != 1:
        return [f"{name}: one Encounter was expected, {truth.status}; there are {dict(standing) or 'none'}."]
    period = fits[0].get("period") or {}
    told = {"status": fits[0]["status"], "start": _us(period.get("start")), "end": _us(period.get("end"))}
    wanted = {"status": truth.status, "start": truth.start_us, "end": truth.end_us}
    return [
        f"{name}: {word} is {told[word]} and should be {wanted[word]}." for word in wanted if told[word] != wanted[word]
    ]


def _us(text: str | None) -> int | None:
    return None if text is None else instant(text)[0]
