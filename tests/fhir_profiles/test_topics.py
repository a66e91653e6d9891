"""The topics as data: what they promise can be kept, and what outside documents name is there by its exact name."""

import pytest

from fhir_profiles.catalog import catalog
from fhir_profiles.topics import NOTICED, Topic, topics, topics_of, watched
from service.search.clauses import modifiers
from service.search.prefixes import PREFIXES

OURS = "https://enlace.example.org/fhir/SubscriptionTopic/"
SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic/"
ALL = list(topics().values())


def slug(topic: Topic) -> str:
    return topic.slug


def test_the_topics_of_the_contract_and_of_sdohcc() -> None:
    own = ("care-transition", "referral-status", "care-plan-updated", "task-updated", "consent-changed")
    assert set(topics()) == {
        *(OURS + name for name in (*own, "assignment-changed")),
        SDOHCC + "Task",
        SDOHCC + "Servicerequest",
    }


def test_sdohcc_as_its_narrative_has_it() -> None:
    (task,) = topics()[SDOHCC + "Task"].triggers
    assert (task.current, task.delete_passes) == ("status:not=draft&intent=order", True)
    assert task.interactions == {"create", "update", "delete"} and task.changed == ()
    filters = {parameter for _, parameter in topics()[SDOHCC + "Task"].filters}
    assert filters == {"_lastUpdated", "code", "owner", "requester", "status"}
    (request,) = topics()[SDOHCC + "Servicerequest"].triggers
    assert request.interactions == {"update", "delete"} and (request.current, request.previous) == ("", "")
    assert {parameter for _, parameter in topics()[SDOHCC + "Servicerequest"].filters} == {"_lastUpdated", "_id"}


@pytest.mark.parametrize("topic", ALL, ids=slug)
def test_what_a_topic_offers_is_served(topic: Topic) -> None:
    for rtype in topic.rtypes:
        assert "search-type" in catalog().types[rtype].interactions
    for (rtype, code), row in topic.filters.items():
        parameter = catalog().types[rtype].search[code]
        assert rtype in topic.rtypes
        assert set(row.modifiers) <= set(modifiers(parameter)) and set(row.comparators) <= set(PREFIXES) - {"ap"}
        assert bool(row.comparators) == (code == "_lastUpdated")
    for rtype, codes in topic.includes.items():
        assert rtype in topic.rtypes
        assert {catalog().types[rtype].search[code].type for code in codes} <= {"reference"}
    for trigger in topic.triggers:
        assert trigger.interactions and trigger.interactions <= {"create", "update", "delete"}
        assert set(trigger.changed) <= ELEMENTS[trigger.rtype]


ELEMENTS = {
    "Encounter": {"class", "status", "location", "hospitalization"},
    "Task": {"status", "statusReason", "businessStatus", "owner"},
    "CareTeam": {"participant", "managingOrganization", "status", "period"},
    "EpisodeOfCare": {"careManager", "team", "managingOrganization", "status", "period"},
    "CarePlan": set(),
    "Consent": set(),
    "ServiceRequest": set(),
}


def test_types_that_go_to_the_outbox() -> None:
    assert watched() == NOTICED | {rtype for topic in ALL for rtype in topic.rtypes}
    assert {topic.slug for topic in topics_of("Task")} == {"referral-status", "task-updated", "sdohcc-task"}
    assert topics_of("Patient") == ()
