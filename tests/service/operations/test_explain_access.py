"""$explain-access: the same decision as the store's, with every step named; and who may ask."""

from typing import Any

import httpx
import pytest

from service.search.clearance import GENERAL, Rule, Specificity, grade
from service.store import clearance, credentials
from service.store.change import Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, SUD, access_token, episode, put

POSTGRESQL_IN_DEEP = True

JSON = dict[str, Any]


def parts(found: JSON, name: str) -> list[JSON]:
    return [part for part in found.get("part", found.get("parameter", [])) if part["name"] == name]


def steps(actor: JSON) -> dict[str, list[bool]]:
    """Name of a step -> whether each of them fits."""
    out: dict[str, list[bool]] = {}
    for part in actor["part"]:
        out.setdefault(part["name"], []).extend(p["valueBoolean"] for p in part.get("part", ()) if p["name"] == "fits")
    return out


async def asked(client: httpx.AsyncClient, resource: str, actor: str, status: int = 200) -> list[JSON]:
    answer = await client.get("/$explain-access", params={"resource": resource, "actor": actor})
    assert answer.status_code == status, answer.text
    return parts(answer.json(), "actor") if status == 200 else []


@pytest.mark.parametrize(
    ("resource", "actor", "decision", "failing"),
    [
        ("Condition/a", PLAN1, "deny", {"role"}),
        ("Task/a", PLAN1, "permit", set[str]()),
        ("Task/a", CBO1, "permit", set[str]()),
        ("Condition/a", ECM2, "deny", {"rule"}),
        ("Condition/sud-a", ECM1, "permit", set[str]()),
        ("Condition/sud-a", ECM2, "deny", {"rule"}),
        ("Organization/ecm-2", CBO1, "permit", set[str]()),
    ],
)
async def test_the_operator_hears_which_step_decides(
    world: Store, app_client: AppClient, resource: str, actor: str, decision: str, failing: set[str]
) -> None:
    role = {PLAN1: "mcp", CBO1: "cbo"}.get(actor, "ecm-provider")
    token = await access_token(world, role, actor)
    assert token
    (told,) = await asked(await app_client("admin", "Organization/op"), resource, actor)
    assert parts(told, "decision")[0]["valueCode"] == decision
    found = steps(told)
    assert {name for name, fits in found.items() if name != "panel" and not all(fits)} == failing
    assert {"scope", "role", "second-wall"} <= found.keys()
    by_actor = await (await app_client(role, actor)).get(f"/{resource}")
    assert (by_actor.status_code == 200) is (decision == "permit"), "it says what happens"


async def test_the_panel_row_names_the_resource_that_gave_it(world: Store, app_client: AppClient) -> None:
    await access_token(world, "lcm", ECM1, LCM1)
    (told,) = await asked(await app_client("admin", "Organization/op"), "Condition/a", LCM1)
    sources = {p["valueReference"]["reference"] for one in parts(told, "panel") for p in parts(one, "reference")}
    assert sources == {"EpisodeOfCare/a", "CareTeam/a"}


async def test_who_may_ask(world: Store, app_client: AppClient) -> None:
    await access_token(world, "mcp", PLAN1)
    author = await app_client("ecm-provider", ECM1)
    await asked(author, "Condition/sud-a", PLAN1, 403)
    await asked(author, "Condition/sud-a", ECM1)
    plan = await app_client("mcp", PLAN1)
    assert await asked(plan, "Task/a", PLAN1), "about itself"
    await asked(plan, "Task/a", ECM1, 403)
    await asked(plan, "Task/b", PLAN1, 404)
    await asked(plan, "Task/absent", PLAN1, 404)
    await asked(author, "Condition/sud-a", "Organization/nobody", 403)
    await asked(await app_client("admin", "Organization/op"), "Task/a", "Organization/nobody", 422)
    answer = await plan.get("/$explain-access")
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 2


async def test_a_client_that_is_no_more_is_explained_as_it_stands(world: Store, app_client: AppClient) -> None:
    await access_token(world, "mcp", PLAN1)
    (client,) = [one for one in await credentials.clients(world) if one.organization == PLAN1]
    operator = await app_client("admin", "Organization/op")
    (told,) = await asked(operator, "Task/a", client.id)
    assert parts(told, "client")[0]["valueString"] == client.id


async def test_an_author_does_not_hear_who_else_cares_for_the_member(world: Store, app_client: AppClient) -> None:
    """The EpisodeOfCare of a program under Part 2 bears a label: its panel row is not to be asked for either."""
    await put(world, episode("EpisodeOfCare/hidden", "Patient/a", ECM2, meta=SUD), source=ECM2)
    await access_token(world, "ecm-provider", ECM2)
    author = await app_client()
    assert (await author.get("/EpisodeOfCare/hidden")).status_code == 404
    await asked(author, "Condition/a", ECM2, 403)


async def test_what_the_asker_does_not_see_is_not_named(world: Store, app_client: AppClient) -> None:
    await put(world, episode("EpisodeOfCare/hidden", "Patient/a", ECM2, meta=SUD), source=PLAN1)
    theirs = await app_client("ecm-provider", ECM2)
    told = await asked(theirs, "Condition/a", ECM2)
    assert [steps(one)["panel"] for one in told] == [[True]]
    assert "EpisodeOfCare/hidden" not in str(told)


@pytest.mark.parametrize("scopes", ["system/Task.cruds", "system/Condition.rs?code=none"])
async def test_scopes_narrow_what_is_asked_about(world: Store, app_client: AppClient, scopes: str) -> None:
    narrow = await app_client("ecm-provider", ECM1, scopes=scopes)
    for resource in ("Condition/sud-a", "Condition/absent"):
        await asked(narrow, resource, ECM1, 403 if "Task" in scopes else 404)


async def test_a_persons_clients_elsewhere_are_not_listed(world: Store, app_client: AppClient) -> None:
    await access_token(world, "lcm", ECM2, LCM1)
    person = await app_client("lcm", ECM1, LCM1)
    told = await asked(person, "Condition/a", LCM1)
    assert {parts(one, "organization")[0]["valueString"] for one in told} == {ECM1}


@pytest.mark.parametrize(("denies", "said"), [(True, "denies it"), (False, "permits it")])
async def test_a_consent_is_said_to_permit_or_to_deny(
    world: Store, app_client: AppClient, denies: bool, said: str
) -> None:
    await access_token(world, "mcp", PLAN1)
    patient, consent = world.keys.resource("Patient/a"), world.keys.resource("Consent/c")
    made = grade(0, Specificity.RECIPIENT, denies=denies)
    rule = Rule(patient, consent, 3, 0, 0, "", GENERAL, "", 0, 0, made, 0, 2**62)
    await world.commit(Change(statements=clearance.replaced(consent, [rule])))
    (told,) = await asked(await app_client("admin", "Organization/op"), "Task/a", PLAN1)
    assert parts(told, "decision")[0]["valueCode"] == ("deny" if denies else "permit")
    texts = [text["valueString"] for one in parts(told, "rule") for text in parts(one, "text")]
    assert any(text.startswith("Rule 3 of the Consent") and said in text for text in texts), texts
