"""$explain-access: the same decision as the store's, with every step named; and who may ask."""

from typing import Any

import httpx
import pytest

from service.store import credentials
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, access_token

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
    assert await asked(author, "Condition/sud-a", PLAN1), "about what it wrote"
    plan = await app_client("mcp", PLAN1)
    assert await asked(plan, "Task/a", PLAN1), "about itself"
    await asked(plan, "Task/a", ECM1, 403)
    await asked(plan, "Task/b", PLAN1, 404)
    await asked(plan, "Task/absent", PLAN1, 404)
    await asked(author, "Condition/sud-a", "Organization/nobody", 422)
    answer = await plan.get("/$explain-access")
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 2


async def test_a_client_that_is_no_more_is_explained_as_it_stands(world: Store, app_client: AppClient) -> None:
    await access_token(world, "mcp", PLAN1)
    (client,) = [one for one in await credentials.clients(world) if one.organization == PLAN1]
    operator = await app_client("admin", "Organization/op")
    (told,) = await asked(operator, "Task/a", client.id)
    assert parts(told, "client")[0]["valueString"] == client.id
