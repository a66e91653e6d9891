"""Which versions trigger which topic, and what a notification names beside its focus."""

from typing import Any

import orjson
import pytest

from fhir_profiles.topics import Topic, topics
from service.notify.model import Item
from service.notify.topics import context_of, fires, triggered
from service.notify.versions import Version
from service.search.keys import Keys
from tests.service.world import BASE, episode, make, ref, request, task, team

KEYS = Keys(b"a secret of this test")
BY_SLUG = {topic.slug: topic for topic in topics().values()}
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

Resource = dict[str, Any]


def fired(slug: str, before: Resource | None, after: Resource | None) -> bool:
    rtype = (after or before or {})["resourceType"]
    texts = [None if one is None else orjson.dumps(one) for one in (after, before)]
    item = Item(1 << 40, 1, rtype, "1", 2, 2, None, 0, 0, *texts)
    assert triggered(BY_SLUG[slug], item, KEYS, BASE) is fires(BY_SLUG[slug], Version(item, KEYS, BASE))
    return triggered(BY_SLUG[slug], item, KEYS, BASE)


def a_stay(code: str = "IMP", status: str = "in-progress", **more: Any) -> Resource:
    klass = {"system": ACT, "code": code, "display": "inpatient encounter"}
    return make("Encounter/1", status=status, **{"class": klass}, subject=ref("Patient/a"), **more)


def placed(name: str, **more: Any) -> list[Resource]:
    return [{"location": ref("Location/1", display=name), "status": "active", **more}]


def left(**concept: Any) -> Resource:
    return {"dischargeDisposition": concept}


HOME = [{"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": "home"}]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, a_stay(), True),
        (None, a_stay("EMER"), True),
        (None, a_stay("OBSENC"), True),
        (None, a_stay("AMB"), False),
        (None, a_stay("PRENC"), False),
        (a_stay("PRENC"), a_stay(), True),
        (a_stay(), a_stay("AMB"), True),
        (a_stay("AMB"), a_stay("AMB", "finished"), False),
        (a_stay(), a_stay(), False),
        (a_stay(), a_stay(status="finished"), True),
        (a_stay(), a_stay(status="entered-in-error"), True),
        (a_stay(), a_stay(type=[{"text": "Corrected"}]), False),
        (a_stay(), a_stay(period={"start": "2026-03-01"}), False),
        (a_stay(location=placed("Ward")), a_stay(location=placed("Ward 1")), False),
        (a_stay(location=placed("Ward")), a_stay(location=placed("Ward", id="x")), False),
        (a_stay(location=placed("Ward")), a_stay(location=placed("Ward", status="completed")), True),
        (a_stay(location=[{"location": {"display": "3A"}}]), a_stay(location=[{"location": {"display": "3B"}}]), True),
        (a_stay(), a_stay(hospitalization=left(coding=HOME)), True),
        (
            a_stay(hospitalization=left(coding=HOME, text="hom")),
            a_stay(hospitalization=left(coding=HOME, text="home")),
            False,
        ),
        (a_stay(hospitalization=left(text="not stated")), a_stay(hospitalization=left(text="home")), True),
        (a_stay(), None, True),
        (a_stay("AMB"), None, False),
    ],
)
def test_care_transition(before: Resource | None, after: Resource | None, told: bool) -> None:
    assert fired("care-transition", before, after) is told


def a_task(status: str = "requested", *, without: str = "", **more: Any) -> Resource:
    made = task("Task/1", "Patient/a", "ServiceRequest/1", "Organization/plan-1", "Organization/cbo-1", status=status)
    return {name: value for name, value in {**made, **more}.items() if name != without}


@pytest.mark.parametrize(
    ("before", "after", "referral", "sdohcc"),
    [
        (None, a_task(), True, True),
        (None, a_task(without="focus"), False, True),
        (None, a_task("draft"), True, False),
        (a_task("draft"), a_task(), True, True),
        (a_task(), a_task("accepted"), True, True),
        (a_task(), a_task(note=[{"text": "A word"}]), False, True),
        (a_task(), a_task(businessStatus={"text": "called"}), True, True),
        (a_task(), a_task(owner=ref("Organization/cbo-2")), True, True),
        (a_task(), a_task(owner=ref("Organization/cbo-1", display="CBO 1")), False, True),
        (a_task(), a_task(intent="plan"), False, False),
        (a_task(), None, True, True),
        (a_task(intent="plan"), None, False, True),
    ],
)
def test_tasks(before: Resource | None, after: Resource | None, referral: bool, sdohcc: bool) -> None:
    assert fired("referral-status", before, after) is referral
    assert fired("sdohcc-task", before, after) is sdohcc
    assert fired("task-updated", before, after)


def test_service_requests_are_told_of_when_they_change() -> None:
    one = request("ServiceRequest/1", "Patient/a", "Organization/ecm-1")
    assert not fired("sdohcc-servicerequest", None, one)
    assert fired("sdohcc-servicerequest", one, {**one, "status": "revoked"})
    assert fired("sdohcc-servicerequest", one, None)


@pytest.mark.parametrize("slug", ["care-plan-updated", "consent-changed"])
def test_any_change(slug: str) -> None:
    rtype = BY_SLUG[slug].rtypes[0]
    one, other = (make(f"{rtype}/1", status="active", description=text) for text in "ab")
    assert fired(slug, None, one) and fired(slug, one, other) and fired(slug, other, None)
    assert not fired(slug, None, a_task())


def test_assignments() -> None:
    crew, other = (team("CareTeam/1", "Patient/a", f"Practitioner/{n}") for n in (1, 2))
    care, next_one = (
        episode("EpisodeOfCare/1", "Patient/a", "Organization/ecm-1", f"Practitioner/{n}") for n in (1, 2)
    )
    for before, after in ((crew, other), (care, next_one)):
        assert fired("assignment-changed", None, after) and fired("assignment-changed", before, after)
        assert fired("assignment-changed", before, None)
        assert not fired("assignment-changed", before, {**before, "note": [{"text": "A word"}]})
    assert fired("assignment-changed", care, {**care, "status": "finished"})
    assert fired("assignment-changed", care, {**care, "team": [ref("CareTeam/1")]})
    assert not fired("assignment-changed", care, {**care, "diagnosis": []})


def topic_with(**criteria: Any) -> Topic:
    trigger = {
        "resource": "http://hl7.org/fhir/StructureDefinition/Task",
        "supportedInteraction": ["create", "update", "delete"],
        "queryCriteria": {"previous": "status=requested", "current": "status=accepted", **criteria},
    }
    return Topic("made-up", "https://example.org/made-up", {"resourceTrigger": [trigger]})


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, (False, True, True, True, False)),
        ({"requireBoth": True}, (False, False, False, True, False)),
        ({"resultForCreate": "test-passes"}, (True, True, True, True, False)),
        ({"resultForCreate": "test-passes", "requireBoth": True}, (False, False, False, True, False)),
        ({"resultForDelete": "test-passes"}, (False, True, True, True, True)),
        ({"resultForDelete": "test-passes", "requireBoth": True}, (False, False, False, True, False)),
    ],
)
def test_current_and_previous(criteria: Any, expected: tuple[bool, ...]) -> None:
    """Of: made; changed with either query fulfilled; with both; deleted."""
    pairs = [
        (None, a_task("draft")),
        (a_task(), a_task("draft")),
        (a_task("draft"), a_task("accepted")),
        (a_task(), a_task("accepted")),
        (a_task("draft"), None),
    ]
    topic = topic_with(**criteria)
    found = []
    for before, after in pairs:
        texts = [None if one is None else orjson.dumps(one) for one in (after, before)]
        found.append(triggered(topic, Item(1, 1, "Task", "1", 2, 2, None, 0, 0, *texts), KEYS, BASE))
    assert tuple(found) == expected


def test_context() -> None:
    one = a_task(focus=ref(f"{BASE}/ServiceRequest/1/_history/3"))
    assert context_of(BY_SLUG["referral-status"], one, BASE) == ("ServiceRequest/1", "Patient/a")
    asked = request("ServiceRequest/1", "Patient/a", "Organization/x")
    assert context_of(BY_SLUG["sdohcc-servicerequest"], asked) == ()
    foreign = a_task(focus=ref("https://other.example/fhir/ServiceRequest/1"), **{"for": ref("Group/1")})
    assert context_of(BY_SLUG["referral-status"], foreign, BASE) == ()
    assert context_of(BY_SLUG["referral-status"], a_task(focus=ref("#in"), **{"for": {"display": "x"}}), BASE) == ()
