"""The county's hospitals as sending systems, and the ADT messages of their recent past (HL7 v2.5.1 chapter 3).

The messages go through inbox and worker like real ones: Encounters, alerts and follow-ups are never written here.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from mappers.hl7v2.simulate import MINUTE, message
from service.cli.seed import felix, sonja_transition, susan
from service.cli.seed.directory import HOSPITALS, LEAD_CARE_MANAGERS, Hospital
from service.cli.seed.parts import Days, made_up_npi
from service.cli.seed.people import Member, member
from service.cli.seed.story_people import FELIX, SONJA, SUSAN
from service.store.sources import RegisteredSource

HOUR = 60 * MINUTE
DAY = 24 * HOUR
Step = tuple[int, str, dict[str, Any]]
"""(how long before now in microseconds, event, fields of simulate.message)"""

_ED = {"patient_class": "E", "location": "ED^7"}
_WARD = {"patient_class": "I", "location": "4W^412^A"}
_HEART = {**_WARD, "diagnosis": "I50.9^Heart failure"}
# What happened to one member of each lead care manager in the last day.
NEWS: tuple[tuple[Step, ...], ...] = (
    ((200 * MINUTE, "A01", _HEART),),
    ((9 * HOUR, "A04", _ED), (5 * HOUR, "A06", {**_WARD, "prior_location": "ED^7"})),
    ((20 * HOUR, "A01", _WARD), (40 * MINUTE, "A03", {**_WARD, "disposition": "01"})),
    ((6 * HOUR, "A01", _WARD), (5 * HOUR, "A11", _WARD)),
    ((7 * HOUR, "A01", _HEART), (HOUR, "A02", {**_HEART, "location": "ICU^3^B", "prior_location": "4W^412^A"})),
    ((4 * HOUR, "A04", {**_ED, "reason": "R06.02^Shortness of breath"}),),
)
VISITS: tuple[tuple[Step, ...], ...] = (
    ((50 * MINUTE, "A04", {**_ED, "reason": "R07.9^Chest pain"}),),
    ((11 * HOUR, "A04", _ED), (8 * HOUR, "A03", {**_ED, "disposition": "01"})),
)
STRANGER = {"mrn": "X-77120", "family": "Larkspur", "given": "Otis", "birth_date": "1949-11-02", "sex": "M"}


def registered() -> list[RegisteredSource]:
    """The three feeds; the enhanced one asks for commit acknowledgements, as Epic does."""
    return [
        RegisteredSource(
            name=h.source,
            application=h.application,
            facility=h.facility,
            organization=h.reference,
            config={
                "display": h.name,
                "zone": h.zone,
                "class_map": h.class_map,
                "cin_authorities": ["MEDI-CAL"],
                **({"ack_mode": "enhanced"} if h.enhanced else {}),
            },
            active=True,
        )
        for h in HOSPITALS
    ]


class _Stay(NamedTuple):
    hospital: Hospital
    who: dict[str, Any]
    steps: tuple[Step, ...]
    label: str
    """Of its visit number: the same however many members there are."""


def history(members: int, seed: int, now_us: int, days: Days) -> list[tuple[str, bytes]]:
    """(name of the source, message) in the order in which they were sent; the same arguments give the same bytes."""
    now_us -= now_us % MINUTE
    sent: list[tuple[int, int, str, bytes]] = []
    for stay in _stays(members, seed, now_us, days):
        for at_us, payload in _messages(stay, f"{seed}-{stay.label}", now_us):
            sent.append((at_us, len(sent), stay.hospital.source, payload))
    return [(source, payload) for _, _, source, payload in sorted(sent)]


def _stays(members: int, seed: int, now_us: int, days: Days) -> Iterator[_Stay]:
    people = [member(seed, number, days) for number in range(min(members, 600))]
    told = ((SONJA, 0, _sonja, "sonja"), (FELIX, 1, _felix, "felix"), (SUSAN, 2, _susan, "susan"))
    for number, place, happened, label in told:
        if number < len(people):
            yield _Stay(HOSPITALS[place], _facts(people[number]), happened(now_us, days), label)
    for number in range(4, len(people), 9):
        yield _Stay(HOSPITALS[number // 9 % 3], _facts(people[number]), _past(people[number]), f"past{number}")
    for turn, lcm in enumerate(LEAD_CARE_MANAGERS):
        ours = [p for p in people[6:] if p.lcm is lcm and p.engaged and p.number % 9 != 4]
        for who, steps in zip(ours, (NEWS[turn], VISITS[turn % 2]), strict=False):
            yield _Stay(HOSPITALS[who.number // 6 % 3], _facts(who), steps, f"news{who.number}")
    yield _Stay(HOSPITALS[1], STRANGER, ((70 * MINUTE, "A01", _WARD),), "stranger")


def _before(now_us: int, days: Days, ago: int, clock: str) -> int:
    return now_us - int(datetime.fromisoformat(days.at(ago, clock)).timestamp()) * 1_000_000


def _admitted(
    now_us: int, days: Days, stay: tuple[tuple[int, str], ...], ed: dict[str, Any], bed: dict[str, Any], gone: str
) -> tuple[Step, ...]:
    """To the emergency department, to a ward, out. stay: the three times; gone: disposition (UB-04)."""
    came, moved, left = (_before(now_us, days, *when) for when in stay)
    ed, bed = {"patient_class": "E", **ed}, {"patient_class": "I", **bed}
    return (
        (came, "A04", ed),
        (moved, "A06", {**bed, "prior_location": ed["location"]}),
        (left, "A03", {**bed, "disposition": gone}),
    )


def _sonja(now_us: int, days: Days) -> tuple[Step, ...]:
    """By ambulance to the emergency department, admitted with sepsis, to the nursing facility after five days."""
    ed = {"location": "ED^12", "reason": "R41.0^Disorientation"}
    bed = {"location": "4W^401^A", "diagnosis": "A41.9^Sepsis"}
    stay = ((sonja_transition.ADMITTED, "19:10"), (sonja_transition.ADMITTED, "23:40"))
    return _admitted(now_us, days, (*stay, (sonja_transition.DISCHARGED, "13:30")), ed, bed, "03")


def _felix(now_us: int, days: Days) -> tuple[Step, ...]:
    """A stroke in the morning; to the nursing facility after a week."""
    ed = {"location": "ED^3", "reason": "R47.81^Slurred speech"}
    bed = {"location": "2N^214^B", "diagnosis": "I63.9^Stroke"}
    stay = ((felix.ADMITTED, "07:20"), (felix.ADMITTED, "10:50"), (felix.DISCHARGED, "14:00"))
    return _admitted(now_us, days, stay, ed, bed, "03")


def _susan(now_us: int, days: Days) -> tuple[Step, ...]:
    """Found on the street; out after four days, to no address. The hospital withholds reason and diagnosis."""
    stay = ((susan.ADMITTED, "21:35"), (susan.ADMITTED - 1, "02:10"), (susan.DISCHARGED, "11:15"))
    return _admitted(now_us, days, stay, {"location": "ED^9"}, {"location": "3E^309^A"}, "01")


def _past(who: Member) -> tuple[Step, ...]:
    """One stay between ten and eighty days ago."""
    rng = who.random("past stay")
    start = rng.randrange(10, 80) * DAY + rng.randrange(600) * MINUTE
    if rng.random() < 0.5:
        return (start, "A04", _ED), (start - rng.randrange(90, 400) * MINUTE, "A03", {**_ED, "disposition": "01"})
    gone = {**_HEART, "disposition": rng.choice(("01", "01", "06", "03"))}
    return (start, "A01", _HEART), (start - rng.randrange(1, 7) * DAY, "A03", gone)


def _messages(stay: _Stay, label: str, now_us: int) -> Iterator[tuple[int, bytes]]:
    h = stay.hospital
    sender: dict[str, Any] = {"name": h.name, "application": h.application, "facility": h.facility, "zone": h.zone}
    sender |= {"npi": made_up_npi(h.number), "enhanced": h.enhanced}
    admitted = now_us - stay.steps[0][0]
    for step, (ago, event, fields) in enumerate(stay.steps):
        at_us = now_us - ago
        common = {"at_us": at_us + MINUTE, "occurred_us": at_us, "admit_us": admitted, "visit_number": f"V{label}"}
        common |= {"control_id": f"SEED{label}-{step}", "account": f"A{label}"}
        common["discharge_us"] = at_us if event == "A03" else None
        yield at_us, message(event, stay.who, sender, **common, **fields)


def _facts(who: Member) -> dict[str, Any]:
    """What a hospital knows of the member; the record number is the one that the paced feed uses too."""
    row = who.row
    address = {"line": row.residential_line, "city": row.residential_city, "state": "CA", "zip": row.residential_zip}
    return {
        "cin": row.cin,
        "mrn": f"M{who.id('patient')[-10:]}",
        "family": row.last_name,
        "given": row.first_name,
        "birth_date": row.birth_date.isoformat(),
        "sex": row.gender,
        "phone": row.phone,
        "address": address,
    }
