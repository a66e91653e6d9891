"""A made-up county in miniature: two lead care managers of one organization, each with a member; one admitted."""

from typing import Any

from service.access.new_version import new_version
from service.auth.registration import insertion, new_client
from service.settings import Settings
from service.store import sources
from service.store.change import ABSENT, Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.alert_text import date_time
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM
from service.workflow.candidates import CIN_SYSTEM

ECM = "Organization/ecm-1"
EVIL = '<script>alert("x")</script>'
SECOND = 1_000_000

Resource = dict[str, Any]


def settings(**changes: Any) -> Settings:
    return Settings(**({"env": "sandbox", "public_url": "http://enlace.test"} | changes))


def practitioner(fhir_id: str, given: str, family: str) -> Resource:
    return {"resourceType": "Practitioner", "id": fhir_id, "name": [{"given": [given], "family": family}]}


def patient(fhir_id: str, given: str, family: str) -> Resource:
    return {"resourceType": "Patient", "id": fhir_id, "name": [{"given": [given], "family": family}]}


def episode(fhir_id: str, member: str, manager: str, **changes: Any) -> Resource:
    return {
        "resourceType": "EpisodeOfCare",
        "id": fhir_id,
        "status": "active",
        "patient": {"reference": f"Patient/{member}"},
        "managingOrganization": {"reference": ECM},
        "careManager": {"reference": f"Practitioner/{manager}"},
        **changes,
    }


def encounter(fhir_id: str, member: str) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": fhir_id,
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{member}"},
        "period": {"start": "2026-03-07T21:05:00-08:00"},
        "serviceProvider": {"display": "Valley Made-up Hospital"},
    }


def alert(fhir_id: str, member: str, to: str, sent_us: int, **changes: Any) -> Resource:
    return {
        "resourceType": "Communication",
        "id": fhir_id,
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}],
        "priority": "urgent",
        "subject": {"reference": f"Patient/{member}"},
        "encounter": {"reference": f"Encounter/stay-{member}"},
        "sent": date_time(sent_us),
        "recipient": [{"reference": to}],
        "payload": [{"contentString": f"The member was admitted, as alert {fhir_id} says."}],
        **changes,
    }


def follow_up(fhir_id: str, about: str, member: str, due: str, **changes: Any) -> Resource:
    return {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "code": {"text": "Contact the hospital and the member."},
        "focus": {"reference": f"Communication/{about}"},
        "for": {"reference": f"Patient/{member}"},
        "owner": {"reference": "Practitioner/ana"},
        "restriction": {"period": {"end": due}},
        **changes,
    }


async def put(store: Store, *resources: Resource, expect: int = ABSENT) -> None:
    """Writes as the service itself does: the hospital's alerts come from the worker."""
    now = store.clock.now_us()
    author = store.keys.resource("Device/enlace")
    writes = [new_version(r, expect, store.keys, source_org=author, now_us=now) for r in resources]
    await store.commit(Change(writes=writes))


async def register(store: Store, client_id: str, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "name": client_id,
        "organization": ECM,
        "role": "lcm",
        "scope": "user/*.cruds",
        "now_us": store.clock.now_us(),
    }
    await store.commit(insertion(new_client(client_id, **facts | changes)))


async def populate(store: Store) -> None:
    """Ana has Maria, Ben has Joe; Ana's alert a-1 is new, Ben has b-1."""
    now = store.clock.now_us()
    await register(store, "ana", name="Ana Lead", person="Practitioner/ana")
    await register(store, "ben", name="Ben Lead", person="Practitioner/ben")
    await register(store, "ehr", role="ecm-provider")
    await put(
        store,
        {"resourceType": "Organization", "id": "ecm-1", "name": "Made-up Care Collective"},
        practitioner("ana", "Ana", "Quispe"),
        practitioner("ben", "Ben", "Okafor"),
        patient("maria", "Maria", "Lopez-Made-up"),
        patient("joe", "Joe", "Nobody"),
        episode("e-maria", "maria", "ana"),
        episode("e-joe", "joe", "ben"),
        encounter("stay-maria", "maria"),
        alert("a-1", "maria", "Practitioner/ana", now - 60 * SECOND),
        alert("b-1", "joe", "Practitioner/ben", now - 30 * SECOND),
    )


CBO = "Organization/steps"


def member(fhir_id: str, given: str, family: str, cin: str) -> Resource:
    """A Patient whom a hospital's message can be matched to."""
    identifier = [{"system": CIN_SYSTEM, "value": cin}]
    return {**patient(fhir_id, given, family), "identifier": identifier, "birthDate": "1970-02-03", "gender": "female"}


async def populate_sandbox(store: Store) -> None:
    """Beside `populate`: a plan, a community organization, a hospital with a feed, two members of Ana."""
    await register(store, "plan", role="mcp", organization="Organization/plan")
    await register(store, "steps", role="cbo", organization=CBO)
    await register(store, "ward", role="hospital", organization="Organization/ward")
    await put(
        store,
        {"resourceType": "Organization", "id": "plan", "name": "Made-up Plan"},
        {"resourceType": "Organization", "id": "steps", "name": "Made-up Steps"},
        {"resourceType": "Organization", "id": "ward", "name": "Made-up Ward"},
        {
            "resourceType": "HealthcareService",
            "id": "ramps",
            "name": "Ramps",
            "providedBy": {"reference": CBO},
        },
        member("rosa", "Rosita", "Quill-Made-up", "90000011A"),
        member("tia", "Tia", "Brook-Made-up", "90000012A"),
        episode("e-rosa", "rosa", "ana"),
        episode("e-tia", "tia", "ana"),
    )
    feed = RegisteredSource("ward-adt", "WARDADT", "WARD", "Organization/ward", {"display": "Made-up Ward"}, True)
    await store.commit(Change(statements=[sources.put(feed)]))
