"""A small made-up world for tests: who is whose member, who wrote what, and clients to look at it with.

Patient A is ours (ECM 1, plan 1, CBO 1), patient B is foreign (ECM 2, plan 2, CBO 2).
"""

import copy
from typing import Any

from service.access.new_version import new_version
from service.auth import tokens
from service.auth.registration import insertion, new_client
from service.caller import Role
from service.store import credentials
from service.store.change import ABSENT, Change, Committed
from service.store.engine import Store

BASE = "http://127.0.0.1:8000/fhir"
ECM1, ECM2 = "Organization/ecm-1", "Organization/ecm-2"
PLAN1, PLAN2 = "Organization/plan-1", "Organization/plan-2"
CBO1, CBO2 = "Organization/cbo-1", "Organization/cbo-2"
LCM1, LCM2 = "Practitioner/lcm-1", "Practitioner/lcm-2"
SUD = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]}

Resource = dict[str, Any]


def ref(reference: str, **more: Any) -> Resource:
    return {"reference": reference, **more}


def make(reference: str, **elements: Any) -> Resource:
    rtype, _, fhir_id = reference.partition("/")
    return {"resourceType": rtype, "id": fhir_id, **elements}


def change_of(store: Store, resource: Resource, source: str = PLAN1, expect: int = ABSENT) -> Change:
    """A Change that writes one version, as an importer of the service would make it."""
    write = new_version(
        copy.deepcopy(resource),
        expect,
        store.keys,
        source_org=store.keys.resource(source),
        now_us=store.clock.now_us(),
        base_url=BASE,
    )
    return Change(writes=[write])


async def put(store: Store, *resources: Resource, source: str = PLAN1) -> Committed:
    """Writes new resources in one Change."""
    change = Change()
    for resource in resources:
        change.merge(change_of(store, resource, source))
    return await store.commit(change)


def patient(reference: str, **more: Any) -> Resource:
    number = reference.partition("/")[2]
    identifier = {"system": "http://example.org/mrn", "value": f"mrn-{number}"}
    return make(reference, identifier=[identifier], name=[{"family": "Made", "given": ["Up"]}], gender="female", **more)


def coverage(reference: str, member: str, payor: str, **more: Any) -> Resource:
    return make(reference, status="active", beneficiary=ref(member), payor=[ref(payor)], **more)


def episode(reference: str, member: str, organization: str, manager: str | None = None, **more: Any) -> Resource:
    care = {"careManager": ref(manager)} if manager else {}
    return make(reference, status="active", patient=ref(member), managingOrganization=ref(organization), **care, **more)


def team(reference: str, member: str, *participants: str, **more: Any) -> Resource:
    return make(
        reference, status="active", subject=ref(member), participant=[{"member": ref(p)} for p in participants], **more
    )


def request(reference: str, member: str, requester: str, **more: Any) -> Resource:
    body = make(
        reference, status="active", intent="order", subject=ref(member), requester=ref(requester), code={"text": "x"}
    )
    return {**body, **more}


def task(reference: str, member: str, focus: str, requester: str, owner: str | None, **more: Any) -> Resource:
    body = make(reference, status="requested", intent="order", focus=ref(focus), authoredOn="2026-03-01T10:00:00Z")
    body |= {"for": ref(member), "requester": ref(requester), "code": {"text": "fulfill"}}
    return {**body, **({"owner": ref(owner)} if owner else {}), **more}


def observation(reference: str, member: str, **more: Any) -> Resource:
    return {**make(reference, status="final", code={"text": "weight"}, subject=ref(member)), **more}


def condition(reference: str, member: str, **more: Any) -> Resource:
    return make(reference, subject=ref(member), code={"text": "c"}, **more)


async def build_world(store: Store) -> None:
    organizations = (ECM1, ECM2, PLAN1, PLAN2, CBO1, CBO2)
    await put(store, *(make(o, name=o.partition("/")[2], active=True) for o in organizations), source="Organization/op")
    await put(store, make(LCM1, name=[{"family": "One"}]), make(LCM2, name=[{"family": "Two"}]), source=ECM1)
    await put(store, patient("Patient/a"), coverage("Coverage/a", "Patient/a", PLAN1))
    await put(store, patient("Patient/b"), coverage("Coverage/b", "Patient/b", PLAN2), source=PLAN2)
    await put(store, episode("EpisodeOfCare/a", "Patient/a", ECM1, LCM1), source=PLAN1)
    await put(store, episode("EpisodeOfCare/b", "Patient/b", ECM2, LCM2), source=PLAN2)
    for letter, ecm, cbo, lcm in (("a", ECM1, CBO1, LCM1), ("b", ECM2, CBO2, LCM2)):
        member = f"Patient/{letter}"
        await put(
            store,
            team(f"CareTeam/{letter}", member, lcm, ecm),
            request(f"ServiceRequest/{letter}", member, ecm),
            task(f"Task/{letter}", member, f"ServiceRequest/{letter}", ecm, cbo),
            observation(f"Observation/{letter}", member),
            condition(f"Condition/{letter}", member),
            condition(f"Condition/sud-{letter}", member, meta=SUD),
            source=ecm,
        )
        await put(store, make(f"Procedure/{letter}", status="completed", subject=ref(member)), source=cbo)


async def access_token(
    store: Store, role: Role | str, organization: str, person: str | None = None, scopes: str = "system/*.cruds"
) -> str:
    """An access token of a client made for it."""
    name = f"client-{store.clock.new_id()}"
    client = new_client(
        name,
        name=name,
        organization=organization,
        role=str(role),
        scope=scopes,
        now_us=store.clock.now_us(),
        person=person,
    )
    token, digest = tokens.new_token()
    now = store.clock.now_us()
    change = insertion(client)
    change.statements.append(credentials.insert_token(digest, name, client.scopes, now, now + 86_400_000_000))
    await store.commit(change)
    return token
