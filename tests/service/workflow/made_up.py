"""Made-up ADT events for the tests of stays: minutes after a Thursday noon in March, Pacific time."""

from datetime import datetime
from zoneinfo import ZoneInfo

from mappers.hl7v2.adt_events import EVENTS
from mappers.hl7v2.event import AdtEvent, Facility, Patient, Place, StayKey, Visit
from service.workflow.stay_events import StoredEvent
from service.workflow.stay_transitions import Transition, transitions
from service.workflow.stays import StayState, reduce

NOON = int(datetime(2024, 3, 7, 12, 0, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()) * 1_000_000
MINUTE = 60_000_000
CLASSES = {
    "E": "ED",
    "I": "INPATIENT",
    "V": "OBSERVATION",
    "O": "AMBULATORY",
    "P": "PRE",
    "R": "OTHER",
    "": "UNKNOWN",
}


def us(minute: float) -> int:
    return NOON + int(minute * MINUTE)


def adt(
    code: str,
    minute: float,
    klass: str = "",
    *,
    admit: float | None = None,
    out: float | None = None,
    disposition: str = "",
    bed: str = "",
    facility: str = "",
    made: float | None = None,
    control: str | None = None,
    processing: str = "P",
    patient: Patient | None = None,
    stay: StayKey | None = None,
) -> AdtEvent:
    """One event of one stay. made: when it was recorded and sent; the same minute unless told."""
    row = EVENTS[code]
    sent = us(minute if made is None else made)
    place = Place(unit=bed.split()[0], bed=bed, facility=facility, text=bed) if bed else None
    return AdtEvent(
        code=code,
        effect=row.effect,
        rank=row.rank,
        alert=row.alert,
        cancels=row.cancels,
        source="mercy",
        control_id=control if control is not None else f"{code}-{minute}-{sent % 1000003}-{disposition}-{klass}",
        processing_id=processing,
        occurred=us(minute),
        occurred_text="",
        occurred_source="EVN-6",
        cancelled=None,
        message_time=sent,
        recorded=sent,
        planned=None,
        facility=Facility(reference="Organization/mercy", name="Mercy General"),
        stay=stay or StayKey(facility="MERCY", visit_number="V1", visit_authority="MERCY"),
        patient=patient or Patient(),
        visit=Visit(
            patient_class=CLASSES[klass],  # type: ignore[arg-type]
            location=place,
            admit=None if admit is None else us(admit),
            discharge=None if out is None else us(out),
            disposition=disposition,
        ),
    )


def stored(*events: AdtEvent, delay: float = 0.1) -> list[StoredEvent]:
    """Received in this order, each `delay` minutes after the later of its own sending and the one before."""
    out: list[StoredEvent] = []
    clock = 0
    for number, event in enumerate(events):
        clock = max(clock, event.message_time or 0) + int(delay * MINUTE)
        out.append(StoredEvent(event, f"inbox-{number}", clock))
    return out


def net(old: set[str], changes: list[Transition]) -> set[str]:
    """Applies a diff strictly: nothing is retracted that was not sent, nothing sent that still stands."""
    for change in changes:
        if change.action == "retract":
            assert change.key in old
            old = old - {change.key}
        else:
            assert change.key not in old
            old = old | {change.key}
    return old


def play(events: list[AdtEvent]) -> tuple[StayState, set[str], list[Transition]]:
    state: StayState | None = None
    standing: set[str] = set()
    told: list[Transition] = []
    received = stored(*events)
    for count in range(1, len(received) + 1):
        new = reduce(received[:count])
        changes = transitions(state, new)
        standing = net(standing, changes)
        told += changes
        state = new
    assert state is not None
    return state, standing, told
