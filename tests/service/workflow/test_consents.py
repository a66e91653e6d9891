"""Rules of Consents that did not come over an interaction, and those that depend on what a Consent names."""

import dataclasses
from typing import Any

from service.access.context import parse
from service.cli.seed import seed
from service.search.clearance import Rule
from service.store import clearance, epochs
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow.consents import recompile, rules_of_new
from tests.service.access.consent.consents import consent, rule
from tests.service.conftest import AppClient
from tests.service.world import BASE, ECM1, ECM2, LCM2, change_of, episode, make, put, ref

POSTGRESQL_IN_DEEP = True
SUD = "Condition/sud-a"


async def rules(store: Store, patient: str = "Patient/a") -> list[Rule]:
    return await clearance.rules_of(store, store.keys.resource(patient))


async def recompiled(store: Store) -> int:
    return sum([count async for count in recompile(store, BASE)])


async def test_rules_are_made_anew_from_the_consents(world: Store, app_client: AppClient) -> None:
    ours = await app_client()
    bodies = [
        consent("Consent/x", rule("permit", rule("deny", label=("HIV",)), to=(ECM2,), label=("SUD",))),
        consent("Consent/x", rule("permit", label=("MH",))),
    ]
    made = [(await ours.post("/Consent", json={k: v for k, v in one.items() if k != "id"})).json() for one in bodies]
    source = ref(f"Consent/{made[1]['id']}")
    last = consent("Consent/x", rule("permit", label=("SEX",)), sourceReference=source)
    await ours.post("/Consent", json={k: v for k, v in last.items() if k != "id"})
    before = await rules(world)
    assert len(before) == 3
    stray = dataclasses.replace(before[0], consent=99)
    statements = [Statement("DELETE FROM clearance", ()), *clearance.replaced(99, [stray])]
    await world.commit(Change(statements=statements))
    patient = world.keys.resource("Patient/a")
    epoch = await epochs.epoch(world, patient)
    assert await recompiled(world) == 3
    assert await rules(world) == before
    assert await epochs.epoch(world, patient) > epoch
    assert await recompiled(world) == 3 and await rules(world) == before


async def test_the_seed_writes_rules_as_a_recompile_would(store: Store) -> None:
    await seed(store, members=30, seed=1, now_us=store.clock.now_us())
    rows = "SELECT * FROM clearance ORDER BY patient, consent, number"
    before = await store.fetch(rows, ())
    assert before
    await recompiled(store)
    assert await store.fetch(rows, ()) == before


async def test_what_is_no_consent_has_no_rules(store: Store) -> None:
    assert rules_of_new(make("Patient/a"), store) == []


async def test_a_role_is_the_person_in_the_organization_while_it_lasts(world: Store, app_client: AppClient) -> None:
    parts: dict[str, Any] = {"practitioner": ref(LCM2), "organization": ref(ECM2)}
    await put(world, make("PractitionerRole/r", active=True, **parts), source=ECM2)
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2, LCM2))
    ours = await app_client()
    body = consent("Consent/x", rule("permit", to=("PractitionerRole/r",), label=("SUD",)))
    answer = await ours.post("/Consent", json={k: v for k, v in body.items() if k != "id"})
    assert answer.status_code == 201, answer.text
    person, system = await app_client("lcm", ECM2, LCM2), await app_client("ecm-provider", ECM2)
    assert (await person.get(f"/{SUD}")).status_code == 200
    assert (await system.get(f"/{SUD}")).status_code == 404
    await world.commit(change_of(world, make("PractitionerRole/r", active=False, **parts), ECM2, expect=1))
    await recompiled(world)
    assert (await person.get(f"/{SUD}")).status_code == 404


async def test_the_stored_review_goes_to_whoever_keeps_the_consent(world: Store, app_client: AppClient) -> None:
    ours = await app_client()
    body = consent("Consent/x", rule("permit", code=[{"text": "x"}]))
    answer = await ours.post("/Consent", json={k: v for k, v in body.items() if k != "id"})
    rows = await world.fetch("SELECT body FROM version WHERE rtype = 'Task' AND fhir_id LIKE 'cr-%'", ())
    (task,) = [parse(row[0]) for row in rows]
    assert task["owner"] == ref(ECM1) and task["focus"] == ref(f"Consent/{answer.json()['id']}")
    over = consent("Consent/x", rule("permit", code=[{"text": "x"}], period={"end": "2026-01"}))
    await ours.post("/Consent", json={k: v for k, v in over.items() if k != "id"})
    assert len(await world.fetch("SELECT vid FROM version WHERE fhir_id LIKE 'cr-%'", ())) == 1
