"""What the reducer reads of an ADT event: one flat Fact per message, sorted, repeats folded.

Order and repeats: facts/adt.md 1.6 and 3; the effects are those of THE event table, mappers/hl7v2/adt_events.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from mappers.hl7v2.event import AdtEvent, Place, Visit

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
STARTS = frozenset({"admit", "register"})
EVIDENCE = frozenset(
    {"transfer", "discharge", "leave", "return", "class-change", "pending-discharge", "cancel-transfer",
     "cancel-discharge", "cancel-leave", "cancel-return", "cancel-pending-discharge", "tracking", "pending-transfer",
     "cancel-pending-transfer", "cancel-tracking"}
)  # fmt: skip
"""Effects that say that the person is or was there, even where the admission itself never reached us."""
HOSPITAL = frozenset({"ED", "OBSERVATION", "INPATIENT"})
LOUD_OTHERS = frozenset({"B", "S"})
"""Obstetrics and short stay are hospital stays without a class of their own; recurring visits are not."""


LEAVES_ARE_NEWS = frozenset({"PSY", "PSYCH", "PSYCHIATRY", "BHU", "BH", "SNF", "LTC", "TCU", "SUBACUTE"})
"""Units and services (PV1-3, PV1-10, PV1-18) where a leave of absence says something of the member."""


@dataclass(frozen=True)
class StoredEvent:
    """account: the number under which it came, where a stay has several (ED, then inpatient under a new one).

    followed: that account goes on under another one, so that its end is no discharge.
    """

    event: AdtEvent
    inbox_id: str
    received_us: int
    account: str = ""
    followed: bool = False
    read: dict[tuple[str, bool], "Fact"] = field(default_factory=dict, compare=False, repr=False)
    """Its facts by (account, followed), worked out once: a stay is looked at from many sides with each message."""


@dataclass(frozen=True)
class Fact:
    """One message of the stay. Times are microseconds since the epoch.

    made_us: when the sender recorded it (EVN-2, else MSH-7): tells a repeated assertion from a late one.
    dead: PID-30; None where not sent. klass, disposition: words of AdtEvent, "" where nothing was sent.
    received_us: the first receipt; not compared, since the order of arrival must not matter.
    visited: False where the message says nothing of a visit (A31, A45): it counts for death alone.
    account, followed: as in StoredEvent. apart: in a unit of LEAVES_ARE_NEWS.
    """

    code: str
    effect: str
    rank: int
    cancels: tuple[str, ...]
    control_id: str
    production: bool
    occurred_us: int
    made_us: int
    klass: str = "UNKNOWN"
    admit_us: int | None = None
    discharge_us: int | None = None
    disposition: str = ""
    disposition_code: str = ""
    place: str = ""
    place_facility: str = ""
    prior_place: str = ""
    prior_facility: str = ""
    facility: str = ""
    dead: bool | None = None
    death_time: bool = False
    clock_ahead: bool = False
    backdated: bool = False
    """The time is PV1-44 or PV1-45, without an EVN-6: an admission after a day in the ED often carries the arrival."""
    account: str = ""
    followed: bool = False
    visited: bool = True
    apart: bool = False
    pending_place: str = ""
    received_us: int = field(default=0, compare=False)

    @cached_property
    def order(self) -> tuple[object, ...]:
        return self.occurred_us, self.rank, self.made_us, _natural(self.control_id), repr(self)

    @cached_property
    def unstamped(self) -> "Fact":
        """Engines restamp MSH-7 when they replay; the first stamp is the sender's own."""
        return replace(self, made_us=0)

    @property
    def closes(self) -> bool:
        """A discharge, or another kind of message with PV1-45 filled. "Still patient" is an interim bill, no discharge.

        A PV1-45 that lies ahead of its own message is a plan.
        """
        if self.followed:
            return False
        if self.effect == "discharge":
            return self.disposition != "STILL"
        if self.discharge_us is None or self.effect not in {"update", "transfer", "class-change", *STARTS}:
            return False
        return self.discharge_us <= max(self.occurred_us, self.made_us) + HOUR_US

    @property
    def implied(self) -> bool:
        return self.closes and self.effect != "discharge"

    @property
    def end_us(self) -> int:
        return self.occurred_us if self.discharge_us is None else self.discharge_us

    @property
    def effective_us(self) -> int:
        """When the thing itself happened: PV1-44 of a start, PV1-45 of a discharge, else the time of the event."""
        if self.effect in STARTS and self.admit_us is not None:
            return self.admit_us
        return self.end_us if self.effect == "discharge" else self.occurred_us

    @property
    def reveals_stay(self) -> bool:
        """An A08 for an admission that was never sent to us: it counts where it says class and admission time."""
        return self.effect == "update" and self.klass in HOSPITAL and self.admit_us is not None


def facts_of(events: Iterable[StoredEvent]) -> list[Fact]:
    """Sorted by (event time, rank, time made, control id); the same message sent again is folded into its first."""
    kept: dict[Fact, Fact] = {}
    for stored in events:
        fact = _fact(stored)
        same = fact.unstamped
        other = kept.get(same)
        if other is not None:
            made, received = min(fact.made_us, other.made_us), min(fact.received_us, other.received_us)
            fact = replace(fact, made_us=made, received_us=received)
        kept[same] = fact
    return sorted(kept.values(), key=lambda fact: fact.order)


def _fact(stored: StoredEvent) -> Fact:
    key = stored.account, stored.followed
    if key not in stored.read:
        stored.read[key] = _made(stored)
    return stored.read[key]


def _made(stored: StoredEvent) -> Fact:
    event, visit = stored.event, stored.event.visit
    occurred = stored.received_us if event.occurred is None else event.occurred
    ahead = occurred > stored.received_us + DAY_US
    if ahead:
        # A sender's clock that is a day ahead would put this event after all that really follows it.
        occurred = stored.received_us
    made = event.recorded or event.message_time or occurred
    fact = Fact(
        code=event.code,
        # Whoever deletes a person deletes the visits that were the person's until then.
        effect="delete" if event.effect == "delete-person" else event.effect,
        rank=event.rank,
        cancels=event.cancels,
        control_id=event.control_id,
        production=event.processing_id.split("^")[0].strip().upper() in {"P", ""},
        occurred_us=occurred,
        made_us=min(made, stored.received_us) if ahead else made,
        facility=event.facility.reference or event.facility.name,
        dead=event.patient.deceased,
        death_time=event.patient.death is not None,
        clock_ahead=ahead,
        backdated=event.occurred_source in {"PV1-44", "PV1-45"},
        account=stored.account,
        followed=stored.followed,
        visited=visit is not None or event.effect in {"delete", "delete-person"},
        received_us=stored.received_us,
    )
    return fact if visit is None else _with_visit(fact, visit)


def _with_visit(fact: Fact, visit: Visit) -> Fact:
    loud = visit.patient_class == "OTHER" and visit.class_code.upper() in LOUD_OTHERS
    return replace(
        fact,
        klass="UNKNOWN" if loud else visit.patient_class,
        admit_us=visit.admit,
        discharge_us=visit.discharge,
        disposition=visit.disposition,
        disposition_code=visit.disposition_code,
        place=_place(visit.location),
        place_facility=visit.location.facility if visit.location else "",
        prior_place=_place(visit.prior_location),
        prior_facility=visit.prior_location.facility if visit.prior_location else "",
        pending_place=_place(visit.pending_location),
        apart=any(word in LEAVES_ARE_NEWS for word in _units(visit)),
    )


def _units(visit: Visit) -> Iterator[str]:
    for text in (visit.service, visit.patient_type, visit.location.unit if visit.location else ""):
        yield from text.upper().replace("-", " ").split()


def order_of(stored: StoredEvent) -> tuple[object, ...]:
    """Where a message stands among those of its stay; the same whatever the order of arrival."""
    return _fact(stored).order


def _place(place: Place | None) -> str:
    if place is None:
        return ""
    return place.text or " ".join(part for part in (place.unit, place.room, place.bed) if part)


def _natural(control_id: str) -> tuple[int, str]:
    """Control ids are mostly counters: of two events of one instant the shorter or smaller was sent first."""
    return len(control_id), control_id
