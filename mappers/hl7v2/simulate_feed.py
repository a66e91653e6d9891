"""Synthetic ADT messages as hospitals send them: `feed`, a deterministic stream of many people's stories."""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from mappers.hl7v2.simulate import MINUTE, Hospital, Member, message
from mappers.hl7v2.simulate_pathways import DIED, LAG_S, Step, pathways, steps_of

SECOND = 1_000_000
_FAMILIES = ("Okafor", "Lindqvist", "Tran", "Petrov", "Haddad", "Moreau", "Castillo", "Nakamura", "Boateng", "Silva")
_GIVENS = ("Mina", "Otis", "Rosa", "Felix", "Anh", "Ivan", "Layla", "Hugo", "Keiko", "Ama")
QUIET = 10 * MINUTE
"""So long after its last message may the next of a stay be sent sooner than planned."""
STORIES = tuple((row["feed"], row) for row in pathways().values() if row.get("feed"))
"""(weight, pathway): those of one person, one hospital and one visit that comes to an end."""


@dataclass(frozen=True)
class OpenStay:
    """A stay that an earlier feed began and did not end. patient_class: PV1-2; visit: PV1-19."""

    who: Member
    hospital: Hospital
    visit: str
    patient_class: str
    admit_us: int


class _Telling:
    """A person's story as far as it was sent. start_us: when the stay began; moved_us: the rest comes so much later."""

    def __init__(self, who: Member, hospital: Hospital, label: str, steps: Sequence[Step], start_us: int):
        self.who, self.hospital, self._label, self._steps = who, hospital, label, steps
        self.start_us, self.moved_us, self.sent_us, self.next = start_us, 0, start_us, 0
        self._discharged: int | None = None

    @property
    def ended(self) -> bool:
        return self.next == len(self._steps)

    @property
    def occurs_us(self) -> int:
        """When the next event happens."""
        return self.start_us + self._steps[self.next].after_us + self.moved_us

    def free(self, clock: int) -> bool:
        """Whether the person can come to a hospital again: a stay begins up to LAG_S before its first message."""
        died = self._steps[-1].group == DIED
        return self.ended and not died and self.sent_us + LAG_S * SECOND < clock

    def tell(self, sent: int) -> bytes:
        occurred, step = self.occurs_us, self._steps[self.next]
        event = step.event
        self._discharged = {"A03": occurred, "A13": None}.get(event, self._discharged)
        times = {"at_us": sent, "occurred_us": occurred, "admit_us": self.start_us, "discharge_us": self._discharged}
        ids = {"visit_number": f"V{self._label}", "account": f"A{self._label}"}
        ids["control_id"] = f"SIM{self._label}-{self.next}"
        self.next, self.sent_us = self.next + 1, sent
        return message(event, self.who, self.hospital, **{**times, **ids, **step.fields})


def feed(
    seed: int,
    members: Sequence[Member],
    sources: Sequence[Hospital],
    start_us: int,
    *,
    gap_us: int = 4 * MINUTE,
    stranger_share: float = 0.4,
    duplicate_share: float = 0.03,
    away: Collection[str] = (),
    unended: Sequence[OpenStay] = (),
) -> Iterator[tuple[int, bytes]]:
    """An endless stream of (when it is sent, payload), in order of time; the same arguments give the same bytes.

    One message each `gap_us`, never one from the future: what is due, else the first of a new story. Stories are ED
    visits, admissions, ED to inpatient, cancelled admissions and discharges. Some messages are resent unchanged; some
    people are members of nothing. A member is in one place at a time; where none is free, the stay of one goes on
    sooner. away: CINs of who is in a hospital by other messages, looked at anew for each story. unended: are ended
    first, with messages of other people between them.
    """
    rng = random.Random(seed)
    order = count()
    waiting: list[tuple[int, int, bytes | tuple[_Telling, int]]] = []
    inside: dict[str, _Telling] = {}
    for number, stay in enumerate(unended):
        due = start_us + (3 * number + 1) * gap_us
        story = inside[_key(stay.who)] = _ending(stay, due - _lag(rng))
        heapq.heappush(waiting, (due, next(order), (story, 0)))
    for turn in count():
        clock = start_us + turn * gap_us
        while waiting and _overtaken(waiting[0][2]):
            heapq.heappop(waiting)
        if waiting and waiting[0][0] <= clock:
            sent, _, what = heapq.heappop(waiting)
            if isinstance(what, bytes):
                yield sent, what
                continue
            story = what[0]
        else:
            sent, story = clock, _begun_or_moved(rng, members, sources, stranger_share, inside, away, clock, seed, turn)
        payload = story.tell(sent)
        if not story.ended:
            heapq.heappush(waiting, (story.occurs_us + _lag(rng), next(order), (story, story.next)))
        if rng.random() < duplicate_share:
            heapq.heappush(waiting, (sent + 30 * SECOND, next(order), payload))
        yield sent, payload


def _key(who: Member) -> str:
    return str(who.get("cin") or who.get("mrn"))


def _lag(rng: random.Random) -> int:
    return rng.randrange(1, LAG_S) * SECOND


def _overtaken(what: bytes | tuple[_Telling, int]) -> bool:
    """Whether this message of a story was sent sooner already."""
    return not isinstance(what, bytes) and what[0].next != what[1]


def _begun_or_moved(
    rng: random.Random,
    members: Sequence[Member],
    sources: Sequence[Hospital],
    stranger_share: float,
    inside: dict[str, _Telling],
    away: Collection[str],
    clock: int,
    seed: int,
    turn: int,
) -> _Telling:
    """Whose message is sent now: of a new story, or the next of one whose events come sooner."""
    told = None
    if members and rng.random() >= stranger_share:
        told = _member(rng, members, inside, away, clock)
    if isinstance(told, _Telling):
        told.moved_us += clock - _lag(rng) - told.occurs_us
        return told
    who = told or _stranger(rng, turn + 1)
    steps = steps_of(rng.choices([row for _, row in STORIES], [weight for weight, _ in STORIES])[0], rng)
    story = _Telling(who, rng.choice(sources), f"{seed}-{turn + 1}", steps, clock - _lag(rng))
    if told:
        inside[_key(who)] = story
    return story


def _member(
    rng: random.Random,
    members: Sequence[Member],
    inside: Mapping[str, _Telling],
    away: Collection[str],
    clock: int,
) -> Member | _Telling | None:
    """A member who is nowhere; else the story of one of whom nothing was heard for a while; else None."""

    def free(one: Member) -> bool:
        story = inside.get(_key(one))
        return one.get("cin") not in away and (story is None or story.free(clock))

    first = rng.choice(members)
    if free(first):
        return first
    others = [one for one in members if free(one)]
    if others:
        return rng.choice(others)
    quiet = [s for s in inside.values() if not s.ended and s.sent_us + QUIET < clock and s.occurs_us > clock]
    return rng.choice(quiet) if quiet else None


def _ending(stay: OpenStay, left_us: int) -> _Telling:
    """The rest of a stay that an earlier feed began: the A03, home."""
    fields = {"patient_class": stay.patient_class, "location": None, "disposition": "01"}
    fields["control_id"] = f"SIM{stay.visit[1:]}-end"
    after = max(0, left_us - stay.admit_us)
    return _Telling(stay.who, stay.hospital, stay.visit[1:], [Step(after, "A03", fields, "HOME", {})], stay.admit_us)


def _stranger(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "mrn": f"X{number}{rng.randrange(1000)}",
        "family": rng.choice(_FAMILIES),
        "given": rng.choice(_GIVENS),
        "birth_date": f"{rng.randrange(1935, 2015)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
        "sex": rng.choice("FM"),
        "phone": f"(555) 555-01{rng.randrange(100):02d}",
    }
