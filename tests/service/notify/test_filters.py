"""What a filter may say, what it is refused for and in which words, and what it lets through."""

from typing import Any

import orjson
import pytest

from fhir_profiles.topics import topics
from service.errors import Category, FhirError
from service.notify.filters import MAX_PARAMETERS, MAX_TEXT, compiled, criteria, fits
from service.notify.model import Item
from service.notify.versions import Version
from service.search.keys import Keys
from service.store.slots import vid_at
from tests.service.world import BASE, make, ref, task, team

KEYS = Keys(b"a secret of this test")
OURS = "https://enlace.example.org/fhir/SubscriptionTopic/"
REFERRALS, ASSIGNMENTS = topics()[f"{OURS}referral-status"], topics()[f"{OURS}assignment-changed"]
SDOHCC = topics()["http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic/Task"]
REQUESTS = topics()["http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic/Servicerequest"]
AT_US = 1_772_040_000_000_000  # 2026-02-25


def version(resource: dict[str, Any] | None, before: dict[str, Any] | None = None) -> Version:
    rtype, fhir_id = ((resource or before or {})[name] for name in ("resourceType", "id"))
    texts = [None if one is None else orjson.dumps(one) for one in (resource, before)]
    item = Item(vid_at(AT_US), 1, rtype, fhir_id, 2, 2, None, 0, 0, *texts)
    return Version(item, KEYS, BASE)


def a_task(**more: Any) -> dict[str, Any]:
    made = task("Task/1", "Patient/a", "ServiceRequest/1", "Organization/plan-1", "Organization/cbo-1")
    return {**made, **more}


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("Task?owner=Organization/cbo-1", True),
        ("/Task?owner=Organization/cbo-1", True),
        ("Task?owner=cbo-1", True),
        (f"Task?owner={BASE}/Organization/cbo-1", True),
        ("Task?owner=https://other.example/fhir/Organization/cbo-1", False),
        ("Task?owner=Organization/cbo-2", False),
        ("Task?owner=Organization/cbo-2,Organization/cbo-1", True),
        ("Task?owner=Organization%2Fcbo-1", True),
        ("Task?owner=Organization/cbo-1&status=requested", True),
        ("Task?owner=Organization/cbo-1&status=accepted", False),
        ("Task?status=accepted,requested", True),
        ("Task?status=http://hl7.org/fhir/task-status|requested", True),
        ("Task?status:not=draft", True),
        ("Task?status:not=requested", False),
        ("Task?owner:missing=true", False),
        ("Task?patient=Patient/a", True),
        ("Task?patient=Patient/b", False),
        ("Task?_id=1,2", True),
        ("Task?_id=2", False),
        ("Task?_lastUpdated=gt2026-02-24", True),
        ("Task?_lastUpdated=gt2026-02-26T00:00:00+00:00", False),
        ("Task?_lastUpdated=gt2026-01-01&_lastUpdated=lt2026-02-01", False),
    ],
)
def test_what_fits(text: str, fitting: bool) -> None:
    assert fits((compiled(REFERRALS, text, KEYS, BASE),), version(a_task())) is fitting


def test_several_filters_hold_together() -> None:
    owner, other = (compiled(REFERRALS, f"Task?owner=Organization/cbo-{n}", KEYS, BASE) for n in (1, 2))
    status = compiled(REFERRALS, "Task?status=requested", KEYS, BASE)
    assert fits((), version(a_task())) and fits((owner, status), version(a_task()))
    assert not fits((owner, other), version(a_task()))


def test_a_filter_counts_for_the_type_that_it_names() -> None:
    of_b = compiled(ASSIGNMENTS, "CareTeam?patient=Patient/b", KEYS, BASE)
    episode = make("EpisodeOfCare/1", status="active", patient=ref("Patient/a"))
    assert not fits((of_b,), version(team("CareTeam/1", "Patient/a", "Organization/ecm-1")))
    assert fits((of_b,), version(episode))


def test_a_deletion_fits_as_what_it_deletes_did() -> None:
    owner = compiled(SDOHCC, "Task?owner=Organization/cbo-1", KEYS, BASE)
    assert fits((owner,), version(None, a_task()))
    assert not fits((owner,), version(None, a_task(owner=ref("Organization/cbo-2"))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no type"),
        ("Task", "names no type"),
        ("owner=Organization/x", "names no type"),
        ("Task?", "takes 1 to"),
        ("Encounter?patient=Patient/a", "asks about the type Encounter; the topic referral-status tells of Task alone"),
        ("Nonsense<?patient=Patient/a", "asks about another type"),
        ("Task?nonsense=1", "'nonsense' of Task is none by which the topic referral-status can be filtered"),
        ("Task?priority=urgent", "'priority' of Task is none by which"),
        ("Task?owner.name=x", "'owner.name' of Task is none by which"),
        ("Task?_has:Provenance:target:agent=x", "is none by which"),
        ("Task?_security=SUD", "'_security' of Task is none by which"),
        ("Task?_filter=status eq draft", "'_filter' of Task is none by which"),
        ("Task?status:in=http://x", "'status:in' of Task takes the modifiers :not in a filter"),
        ("Task?requester:identifier=x|y", "'requester:identifier' of Task takes no modifier"),
        ("Task?status:=draft", "'status:' of Task takes the modifiers :not"),
        ("Task?status=acepted", "'status' of Task takes these codes: draft, requested,"),
        ("Task?status=http://x|accepted", "'status' of Task names a system that its codes do not have"),
        ("Task?owner=Foo/1", "'owner' of Task names a type to which it cannot lead"),
        ("Task?owner=a/b/c", "'owner' of Task takes an id, Type/id or an absolute URL"),
        ("Task?owner", "'owner' of Task has an empty value"),
        ("Task?owner=Organization/x,", "'owner' of Task has an empty value"),
        ("Task?owner:missing=perhaps", "takes true or false with :missing"),
        ("Task?_id=a/b", "'_id' of Task takes ids"),
        ("Task?_lastUpdated=2026-13", "'_lastUpdated' of Task takes dates that exist"),
        ("Task?_lastUpdated=ap2026", "'_lastUpdated' of Task takes the comparators eq, ne, gt"),
        ("Task?_lastUpdated:missing=true", "'_lastUpdated:missing' of Task takes no modifier"),
        ("Task?o%00=1", "Filter parameter with an unreadable name of Task"),
        ("Task?owner=" + "x" * 1_500, "more than 1000 characters"),
        ("Task?owner=" + "x" * MAX_TEXT, "more than 2,000 characters"),
        ("Task?" + "&".join(["owner=x"] * (MAX_PARAMETERS + 1)), "takes 1 to 20 parameters"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(FhirError) as refused:
        compiled(REFERRALS, text, KEYS, BASE)
    (issue,) = refused.value.issues
    assert words in issue.diagnostics and refused.value.category is Category.RULE
    assert "Patient/a" not in issue.diagnostics and "http://x" not in issue.diagnostics


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(FhirError) as refused:
        compiled(REFERRALS, "Task?a=1&status=x&owner=Organization/1&_id=!", KEYS, BASE)
    assert len(refused.value.issues) == 3


STATUS = {"Task": "draft", "Encounter": "finished", "CarePlan": "active", "Consent": "active"}


def test_each_parameter_that_a_topic_offers_compiles() -> None:
    for topic in topics().values():
        for (rtype, parameter), row in topic.filters.items():
            values = {"status": STATUS.get(rtype, "active"), "intent": "order", "priority": "urgent"}
            value = "gt2026" if row.comparators else values.get(parameter, "x")
            assert compiled(topic, f"{rtype}?{parameter}={value}", KEYS, BASE).clauses
        for trigger in topic.triggers:
            for query in filter(None, (trigger.current, trigger.previous)):
                assert criteria(trigger.rtype, query, KEYS, BASE)
