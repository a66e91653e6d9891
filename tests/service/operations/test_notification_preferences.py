"""How a person wants to be told, over FHIR: who may show and set it, what is refused, and that it counts."""

from typing import Any

import pytest

from service.store import notice_preferences
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import World, alert, populate
from tests.service.world import CBO1, ECM1, ECM2, LCM1, LCM2, put

POSTGRESQL_IN_DEEP = True
URL = f"/{LCM1}/$notification-preferences"
KINDS = {"escalateMinutes": "valueInteger", "kind": "valueCode", "channel": "valueCode", "role": "valueCode"}


def row(*parts: tuple[str, Any]) -> dict[str, Any]:
    def part(name: str, value: Any) -> dict[str, Any]:
        if name == "escalateTo":
            return {"name": name, "valueReference": {"reference": value}}
        return {"name": name, KINDS.get(name, "valueString"): value}

    return {"name": "preference", "part": [part(*one) for one in parts]}


def body(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", **({"parameter": list(rows)} if rows else {})}


FULL = body(
    row(("kind", "*"), ("channel", "in-app"), ("channel", "email"), ("quiet", "22:00-06:00"), ("digest", "08:00")),
    row(("kind", "alert"), ("role", "lcm"), ("escalateTo", "Practitioner/director-1"), ("escalateMinutes", 30)),
    row(("kind", "assignment"), ("channel", "none")),
)


@pytest.fixture
async def told(world: Store) -> World:
    return await populate(world)


async def test_set_shown_replaced(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(URL, json=FULL)
    assert answer.status_code == 200, answer.text
    shown = (await ana.get(URL)).json()
    assert shown == (await ana.post(URL, json=shown)).json(), "what is shown can be set"
    rows = {(r.role, r.kind): r for r in await notice_preferences.of_person(told.store, LCM1)}
    assert rows["", "*"].channels == "in-app email" and rows["", "*"].digest == "08:00"
    assert rows["lcm", "alert"].channels == "default" and rows["lcm", "alert"].escalate_min == 30
    assert rows["", "assignment"].channels == ""
    assert (await ana.post(URL, json=body())).status_code == 200
    assert (await ana.get(URL)).json() == {"resourceType": "Parameters"}


async def test_it_counts(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    await ana.post(URL, json=body(row(("kind", "alert"), ("channel", "email"))))
    await put(told.store, alert("one", priority="routine"), source="Device/enlace")
    await told.run()
    assert await told.states(target="Communication/one") == ["email sent", "in-app suppressed preference"]


@pytest.mark.parametrize(
    ("role", "organization", "person", "status"),
    [
        ("lcm", ECM1, LCM1, 200),
        ("ecm-provider", ECM1, None, 200),  # its system
        ("admin", "Organization/op", None, 200),
        ("ecm-provider", ECM1, "Practitioner/director-1", 403),
        ("lcm", ECM2, LCM2, 403),
        ("ecm-provider", ECM2, None, 403),
        ("cbo", CBO1, None, 403),
        ("hospital", "Organization/h", None, 403),
    ],
)
async def test_whose_they_are(
    told: World, app_client: AppClient, role: str, organization: str, person: str | None, status: int
) -> None:
    client = await app_client(role, organization, person)
    assert (await client.get(URL)).status_code == status
    assert (await client.post(URL, json=FULL)).status_code == status
    reader = await app_client(role, organization, person, "user/*.r" if person else "system/*.r")
    assert (await reader.post(URL, json=FULL)).status_code == 403
    unknown = await client.get("/Practitioner/nobody/$notification-preferences")
    assert unknown.status_code == (404 if role == "admin" else 403)


async def test_an_alert_escalates_to_somebody_who_is_there(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)

    def to(person: str) -> dict[str, Any]:
        return row(("kind", "alert"), ("escalateTo", person), ("escalateMinutes", 30))

    answer = await ana.post(URL, json=body(row(("kind", "*")), to("Practitioner/nobody")))
    (issue,) = answer.json()["issue"]
    assert (answer.status_code, issue["expression"]) == (422, ["Parameters.parameter[1]"])
    assert "escalateTo names nobody" in issue["diagnostics"]
    assert (await ana.post(URL, json=body(to("PractitionerRole/nobody")))).status_code == 422
    assert (await ana.post(URL, json=body(to("Practitioner/director-1")))).status_code == 200


async def test_all_that_is_wrong_at_once(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    bad = body(
        row(
            ("kind", "gossip"), ("channel", "pigeon"), ("quiet", "late"), ("digest", "25:00"), ("zone", "Mars/Olympus")
        ),
        row(("kind", "alert"), ("role", "king"), ("escalateTo", "Patient/a"), ("language", "tlh")),
        row(("kind", "alert"), ("escalateTo", "Practitioner/x"), ("escalateMinutes", 99999)),
        row(("kind", "alert")),
    )
    answer = await ana.post(URL, json=bad)
    assert answer.status_code == 422
    issues = answer.json()["issue"]
    assert len(issues) == 11 and all(one["expression"][0].startswith("Parameters.parameter[") for one in issues)
    answer = await ana.post(URL, json=body({"name": "x"}, {"name": "preference", "part": [{"name": "y"}]}))
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 3
    assert (await ana.post(URL, json={"resourceType": "Patient"})).status_code == 400
    assert (await ana.post(URL, json=body(*[row(("kind", "alert"))] * 60))).status_code == 422
    assert (await ana.get(URL)).json() == {"resourceType": "Parameters"}, "nothing of it was kept"
