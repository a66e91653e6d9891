"""Messages of the sandbox's hospital: who is next, which stay ends, and that both messages name the same stay."""

from mappers.hl7v2.header import Header, peek
from mappers.hl7v2.message import parse
from service.workflow.candidates import CIN_SYSTEM
from service.workflow.sandbox_messages import (
    VISIT,
    Source,
    admission,
    discharge,
    member_facts,
    next_member,
    sender_of,
    stays_to_end,
    visit_of,
)

NOW = 1_772_955_000_123_456
WARD = Source("ward-adt", "WARDADT", "WARD", "Organization/ward", {"display": "Made-up Ward"})


def person(fhir_id: str, **more: object) -> dict[str, object]:
    made = {"resourceType": "Patient", "id": fhir_id, "name": [{"given": ["Rosa"], "family": "Made-up"}]}
    return made | {"identifier": [{"system": CIN_SYSTEM, "value": "90000011A"}]} | more


def stay(member: str, status: str, start: str, visit: str = "") -> dict[str, object]:
    made = {"status": status, "subject": {"reference": f"Patient/{member}"}, "period": {"start": start}}
    return made | ({"identifier": [{"value": visit}]} if visit else {})


def test_both_messages_are_of_one_stay() -> None:
    facts = member_facts(person("rosa")) or {}
    came = admission(facts, WARD, NOW)
    encounter = stay("rosa", "in-progress", "2026-03-07T23:30:00-08:00", f"{VISIT}{NOW}")
    left = discharge(facts, WARD, encounter, NOW + 5_000_000)
    visits = [line.split(b"|")[19] for raw in (came, left) for line in raw.split(b"\r") if line.startswith(b"PV1")]
    assert visits[0] == visits[1] and visits[0].startswith(f"{VISIT}{NOW}".encode())
    headers = [peek(raw) for raw in (came, left)]
    assert [h.event for h in headers if isinstance(h, Header)] == ["A01", "A03"]
    assert len({h.control_id for h in headers}) == 2
    assert parse(came, "") and b"90000011A" in came and b"90000011A" in left


def test_who_cannot_be_named_is_never_next() -> None:
    assert member_facts(person("x", identifier=[])) is None
    assert member_facts(person("x", name=[])) is None
    assert next_member([person("x", name=[])], []) is None


def test_the_next_is_outside_and_was_there_longest_ago() -> None:
    members = [person("a"), person("b"), person("c")]
    assert (next_member(members, []) or {})["id"] == "a"
    inside = stay("a", "in-progress", "2026-03-01T00:00:00-08:00")
    assert (next_member(members, [inside]) or {})["id"] == "b"
    left = stay("b", "finished", "2026-03-02T00:00:00-08:00")
    assert (next_member(members, [inside, left]) or {})["id"] == "c"
    later = stay("c", "finished", "2026-03-03T00:00:00-08:00")
    assert (next_member(members, [inside, left, later]) or {})["id"] == "b"
    assert next_member([members[0]], [inside]) is None


def test_only_our_own_open_stays_end_the_last_one_first() -> None:
    first, last = f"{VISIT}{NOW}", f"{VISIT}{NOW + 9}"
    stays = [
        stay("a", "in-progress", "", first),
        stay("b", "in-progress", "", last),
        stay("c", "finished", "", f"{VISIT}{NOW + 99}"),
        stay("d", "in-progress", "", "V1"),
        stay("e", "in-progress", "", f"{VISIT}-not-a-number"),
    ]
    assert [visit_of(found) for found in stays_to_end(stays)] == [last, first]
    assert stays_to_end(stays[2:]) == []


def test_the_discharge_comes_from_where_the_admission_came() -> None:
    old = Source("a-ward", "OLD", "WARD", "Organization/ward", {})
    assert sender_of([old, WARD], "ward-adt", "Organization/ward") is WARD
    assert sender_of([old], "ward-adt", "Organization/ward") is old, "who is gone is stood in for"
    assert sender_of([old], "ward-adt", "Organization/other") is None
