"""Every route x interaction x caller: what it answers is in a table, and a route without a row is red (G8).

The data asked for is the record of ECM 1's patient A: foreign to ECM 2, no business of a CBO or hospital. Whatever the
status, no answer to one of these callers holds a word of the record. Source: ../shared/facts/security.md 2.4.
"""

import json
import os
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from fhir_profiles.catalog import catalog
from service.api.fhir import ROWS, served
from service.api.fhir import Row as FhirRow
from service.auth import tokens
from service.notify.model import Event
from service.store import deliveries
from service.store.change import Change
from service.store.engine import Store
from tests.service.notify.subscribed import subscribe
from tests.service.notify.subscription_samples import subscription
from tests.service.world import CBO2, ECM1, ECM2, access_token, condition, observation, put

POSTGRESQL_IN_DEEP = True
STATES = ("none", "unknown", "expired", "revoked", "wrong scope", "foreign", "cbo", "hospital")
RECORD = ("CANARY", "mrn-a")
"""Words of the record of patient A."""


@pytest.fixture
async def bearers(world: Store) -> dict[str, str]:
    """State -> Authorization header; "" for none."""
    expired, revoked = [await access_token(world, "ecm-provider", ECM1) for _ in range(2)]
    scopeless = await access_token(world, "ecm-provider", ECM1, None, "system/Group.r")
    now = world.clock.now_us()
    for column, token in (("expires_us", expired), ("revoked_us", revoked)):
        digest = tokens.digest_of(token)
        await world.db.execute(f"UPDATE token SET {column} = ? WHERE hash = ? RETURNING hash", (now - 1, digest))
    return {
        "none": "",
        "unknown": "Bearer nobody-has-this-one",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "wrong scope": f"Bearer {scopeless}",
        "foreign": f"Bearer {await access_token(world, 'ecm-provider', ECM2)}",
        "cbo": f"Bearer {await access_token(world, 'cbo', CBO2)}",
        "hospital": f"Bearer {await access_token(world, 'hospital', 'Organization/hospital')}",
    }


# --- FHIR ------------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    url: str
    body: Any = None
    kind: str = "application/fhir+json"


def asked(row: FhirRow, rtype: str) -> Asked:
    """A request of this row, about the record of patient A."""
    url = row.path.replace("{type}", rtype).replace("{id}", "a").replace("{part}", _part(row))
    match row.interaction, row.path:
        case (("search-type" | "search-system" | "search-compartment"), _) if row.method == "POST":
            return Asked(url, "_id=a", "application/x-www-form-urlencoded")
        case "search-type", _:
            return Asked(f"{url}?_id=a")
        case "search-system", _:
            return Asked(f"{url}?_id=a")
        case (("create" | "update"), _):
            where = "?_id=a" if row.method == "PUT" and "{id}" not in row.path else ""
            body = condition("Condition/a", "Patient/a") if rtype == "Condition" else {"resourceType": rtype, "id": "a"}
            return Asked(url + where, body if row.method == "PUT" else {k: v for k, v in body.items() if k != "id"})
        case "patch", _:
            where = "" if "{id}" in row.path else "?_id=a"
            return Asked(
                url + where, [{"op": "add", "path": "/language", "value": "en"}], "application/json-patch+json"
            )
        case "delete", "/{type}":
            return Asked(f"{url}?_id=a")
        case "$validate", _:
            return Asked(url, {"resourceType": rtype, "id": "a"})
        case "$match", _:
            number = {"system": "http://example.org/mrn", "value": "mrn-a"}
            return Asked(url, {"resourceType": "Patient", "identifier": [number]})
        case "$explain-access", _:
            return Asked(f"{url}?resource={rtype}/a&actor={ECM2}")
        case "$resend", _:
            return Asked(f"{url}?eventsSinceNumber=1", {"resourceType": "Parameters"})
        case (("$snooze" | "$reassign" | "$outcome"), _):
            return Asked(url, {"resourceType": "Parameters", "parameter": [_ALERT[row.interaction]]})
        case "$no-service", _:
            why = {"name": "reason", "valueCode": "no-capacity"}
            return Asked(url, {"resourceType": "Parameters", "parameter": [why]})
        case "$forward", _:
            to = {"name": "target", "valueReference": {"reference": ECM1}}
            return Asked(url, {"resourceType": "Parameters", "parameter": [to]})
        case "$hand-off", _:
            people = [{"name": "participant", "valueReference": {"reference": one}} for one in ("Patient/a", ECM1)]
            taken = {"name": "accepted-by", "valueReference": {"reference": ECM1}}
            return Asked(url, {"resourceType": "Parameters", "parameter": [*people, taken]})
        case "transaction", _:
            entry = {"request": {"method": "GET", "url": f"{rtype}/a"}}
            return Asked(url, {"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    return Asked(url, {"resourceType": "Parameters"} if row.method == "POST" else None)


_ALERT = {
    "$snooze": {"name": "minutes", "valueInteger": 30},
    "$reassign": {"name": "to", "valueReference": {"reference": "Practitioner/lcm-1"}},
    "$outcome": {"name": "code", "valueCode": "reached"},
}


def _part(row: FhirRow) -> str:
    return "1" if row.interaction == "vread" else "Observation"


async def ask(client: httpx.AsyncClient, method: str, one: Asked, bearer: str, base: str = "/fhir") -> httpx.Response:
    headers = {"Authorization": bearer} if bearer else {}
    content = one.body if isinstance(one.body, str) else None if one.body is None else json.dumps(one.body)
    if content is not None:
        headers["Content-Type"] = one.kind
    return await client.request(method, f"{base}{one.url}", content=content, headers=headers)


GONE = "401 401 401 401 403"
"""Without a token, with one that is unknown, expired or revoked, and without the scope."""
FHIR = {
    "$validate /{type}/$validate": "200 200 200",  # says what is wrong with the body, nothing of the store
    "$validate /{type}/{id}/$validate": "404 404 404",
    "$everything /{type}/{id}/$everything": "404 404 404",
    "$authorize /{type}/{id}/$authorize": "403 403 403",
    "$check-eligibility /{type}/{id}/$check-eligibility": "404 404 404",
    "$break-glass /{type}/{id}/$break-glass": "403 403 403",
    "$hand-off /{type}/{id}/$hand-off": "404 404 403",
    "$no-service /{type}/{id}/$no-service": "404 403 403",
    "$refer /{type}/{id}/$refer": "404 404 403",
    "$disclosures /{type}/{id}/$disclosures": "404 403 403",
    "$forward /{type}/{id}/$forward": "404 403 403",
    "$evaluate-measure /{type}/$evaluate-measure": "400 400 403",  # no period is named; whose numbers: its own tests
    "$evaluate-measure /{type}/{id}/$evaluate-measure": "400 400 403",
    "$explain-access /$explain-access": "404 404 404",
    "$match /{type}/$match": "200 200 200",
    "$process-message /$process-message": "403 403 400",  # only hospitals send; what was sent is no notification
    "$notification-preferences /{type}/{id}/$notification-preferences": "403 403 403",  # whoever it is, if anybody
    "$notices /{type}/{id}/$notices": "403 403 403",
    "$in-hospital /{type}/{id}/$in-hospital": "403 403 403",
    "$acknowledge /{type}/{id}/$acknowledge": "404 404 403",
    "$snooze /{type}/{id}/$snooze": "404 404 403",
    "$reassign /{type}/{id}/$reassign": "404 404 403",
    "$not-my-member /{type}/{id}/$not-my-member": "404 404 403",
    "$outcome /{type}/{id}/$outcome": "404 404 403",
    "search-type /{type}": "200 200 200",
    "search-type /{type}/_search": "200 200 200",
    "search-system ": "200 200 200",
    "search-system /_search": "200 200 200",
    "search-compartment /{type}/{id}/{part}": "200 200 200",
    "search-compartment /{type}/{id}/{part}/_search": "200 200 200",
    "create /{type}": "422 403 403",  # the Patient referred to does not exist, as far as they see
    "vread /{type}/{id}/_history/{part}": "404 404 404",
    "history-instance /{type}/{id}/_history": "404 404 404",
    "history-type /{type}/_history": "200 200 200",
    "history-system /_history": "200 200 200",
    "read /{type}/{id}": "404 404 404",
    "update /{type}/{id}": "404 403 403",
    "patch /{type}/{id}": "404 403 403",
    "delete /{type}/{id}": "404 403 403",
    "update /{type}": "400 403 403",
    "patch /{type}": "404 403 403",
    "delete /{type}": "204 403 403",
    "transaction ": "200 200 200",  # each entry has its own answer
    "$status /{type}/$status": "200 200 200",
    "$status /{type}/{id}/$status": "404 404 404",
    "$events /{type}/{id}/$events": "404 404 404",
    "$deliveries /{type}/{id}/$deliveries": "404 404 404",
    "$get-ws-binding-token /{type}/$get-ws-binding-token": "422 422 422",  # none of theirs is a websocket's
    "$get-ws-binding-token /{type}/{id}/$get-ws-binding-token": "404 404 404",
    "$resend /{type}/{id}/$resend": "404 404 403",
    "$test-event /{type}/{id}/$test-event": "404 404 403",
    "$pause /{type}/{id}/$pause": "404 404 403",
    "$resume /{type}/{id}/$resume": "404 404 403",
    "$rotate-secret /{type}/{id}/$rotate-secret": "404 404 403",
}
"""Interaction and path -> what another ECM provider, a CBO and a hospital hear. A 200 here holds nothing."""
ENTRY = {"wrong scope": "403", "foreign": "404", "cbo": "404", "hospital": "404"}
OF_PERSON = frozenset({"$notification-preferences", "$notices", "$in-hospital"})
OF_ALERT = frozenset({"$acknowledge", "$snooze", "$reassign", "$not-my-member", "$outcome"})
OF_REQUEST = frozenset({"$check-eligibility", "$no-service", "$refer"})
OF_TASK = frozenset({"$forward", "$hand-off", "$authorize"})
OF_SUBSCRIPTION = frozenset(
    f"${name}"
    for name in (
        *("status", "events", "deliveries", "get-ws-binding-token"),
        *("resend", "test-event", "pause", "resume", "rotate-secret"),
    )
)
"""Of the Subscription of ECM 1, by which it is told of patient A."""
OF_PATIENT = frozenset({"$everything", "$match", "$break-glass", "$disclosures", "search-compartment"})


@pytest.fixture
async def secret(world: Store) -> Store:
    """The record of patient A holds words that stand nowhere else."""
    note = [{"text": "CANARY"}]
    await put(world, observation("Observation/canary", "Patient/a", note=note), source=ECM1)
    written = await put(world, condition("Condition/canary", "Patient/a", note=note), source=ECM1)
    await put(world, subscription(id="a", error="CANARY"), source=ECM1)
    key = await subscribe(world, "a", ECM1, status="error", error="CANARY")
    event = Event(1, written.written[0].vid, key, "event", False, world.clock.now_us())
    await world.commit(Change(statements=deliveries.numbered(key, [event])))
    return world


def test_every_fhir_route_has_a_row() -> None:
    assert {f"{row.interaction} {row.path}" for row in ROWS} == set(FHIR)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_g08_fhir_routes(row: FhirRow, secret: Store, app: FastAPI, bearers: dict[str, str]) -> None:
    expected = [int(code) for code in f"{GONE} {FHIR[f'{row.interaction} {row.path}']}".split()]
    if row.interaction == "transaction":
        expected[STATES.index("wrong scope")] = 200
    some = "Patient" if row.interaction in OF_PATIENT else "Condition"
    some = "Subscription" if row.interaction in OF_SUBSCRIPTION else some
    some = "Practitioner" if row.interaction in OF_PERSON else some
    some = "Communication" if row.interaction in OF_ALERT else some
    some = "Task" if row.interaction in OF_TASK else some
    some = "Measure" if row.interaction == "$evaluate-measure" else some
    some = "ServiceRequest" if row.interaction in OF_REQUEST else some
    types = [some]
    if os.environ.get("ENLACE_TEST_DEEP"):
        types += [t for t, entry in catalog().types.items() if "{type}" in row.path and served(row, entry)]
    wrong = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for rtype in types:
            got = {s: await ask(client, row.method, asked(row, rtype), bearers[s]) for s in STATES}
            wrong += [(rtype, s, word) for s, a in got.items() for word in RECORD if word in a.text]
            wrong += [(rtype, s, a.text) for s, a in got.items() if a.status_code >= 500]
            refused = [got[s].status_code for s in STATES[:4]]
            wrong += [(rtype, "let in", str(refused))] if refused != [401] * 4 else []
            if row.interaction == "transaction":
                for s, code in ENTRY.items():
                    wrong += [] if got[s].json()["entry"][0]["response"]["status"][:3] == code else [(rtype, s, code)]
            if rtype == some:
                told = [answer.status_code for answer in got.values()]
                wrong += [(rtype, str(expected), str(told))] if told != expected else []
    assert not wrong


# --- all others ------------------------------------------------------------------------------------------------------

SAME = {
    "GET /": 200, "GET /login": 200, "POST /login": 415, "GET /login/callback/{organization}": 403,
    "GET /login/organization": 403,
    "POST /login/organization": 415, "GET /login/{provider}": 404, "POST /logout": 303, "GET /auth/authorize": 400,
    "POST /auth/authorize": 303, "GET /inbox/list": 401, "GET /inbox/events": 401,
    "POST /inbox/{id}/acknowledge": 303, "POST /inbox/{id}/unacknowledge": 303, "GET /sees": 303,
    "GET /sees/{type}": 303, "GET /sees/{type}/{id}": 303, "GET /sandbox": 200, "GET /sandbox/token": 400,
    "POST /sandbox/{action}": 415, "GET /static/{name}": 404, "GET /openapi.json": 200, "GET /docs": 200,
    "GET /docs/{name}": 404, "GET /notices/part2": 200, "GET /healthz": 200, "GET /readyz": 200, "GET /metrics": 200,
    "POST /auth/token": 415, "POST /auth/introspect": 415, "POST /auth/revoke": 415, "GET /auth/jwks": 200,
    "GET /.well-known/openid-configuration": 200, "GET /fhir/.well-known/smart-configuration": 200,
    "GET /r/{code}": 404, "POST /r/{code}/code": 404, "POST /r/{code}/open": 404, "POST /r/{code}/answer": 404,
    "POST /r/{code}/leave": 404, "GET /r/{code}/sheet": 404, "GET /referrals/{id}/sheet": 303,
    "POST /referrals/{id}/link": 303, "POST /partners/notices/{token}": 404,
    "GET /members/{id}/disclosures": 303,
    "GET /members/{id}/disclosures.csv": 303,
    "GET /fhir/metadata": 200, "GET /fhir/metadata/": 200,
}  # fmt: skip
"""A bearer token opens none of these: pages take a session, the others know nobody or look for themselves."""
APART = {
    "GET /adt/feeds": "401 401 401 401 404 404 404 404",
    "GET /adt/messages": "401 401 401 401 404 404 404 404",
    "POST /adt/messages/_search": "401 401 401 401 404 404 404 404",
    "GET /adt/messages/{id}": "401 401 401 401 404 404 404 404",
    "POST /adt/messages/{id}/replay": "401 401 401 401 404 404 404 404",
    "POST /adt/replay": "401 401 401 401 404 404 404 404",
    "GET /adt/sources": "401 401 401 401 404 404 404 404",
    "POST /adt/sources": "401 401 401 401 404 404 404 404",
    "GET /adt/sources/{name}": "401 401 401 401 404 404 404 404",
    "PUT /adt/sources/{name}": "401 401 401 401 404 404 404 404",
    "POST /auth/clients": "401 401 401 401 404 404 404 404",
    "GET /auth/clients": "401 401 401 401 404 404 404 404",
    "GET /auth/clients/{client_id}": "401 401 401 401 404 404 404 404",
    "PATCH /auth/clients/{client_id}": "401 401 401 401 404 404 404 404",
    "POST /hl7v2": "401 401 401 401 403 403 403 415",
}


def others(app: FastAPI) -> list[str]:
    """All routes that are no row of THE FHIR table."""
    placed = {f"/fhir{row.path}{slash}" for row in ROWS for slash in ("", "/")} | {"/fhir/{path:anything}"}
    found = [route for route in app.routes if getattr(route, "path", "") not in placed]
    assert all(isinstance(route, Route | WebSocketRoute) for route in found)
    found = [route for route in found if isinstance(route, Route)]
    return [f"{m} {route.path}" for route in found for m in (route.methods or {"ANY"}) if m != "HEAD"]  # type: ignore[attr-defined]


def test_the_websocket_takes_a_token_of_its_own(app: FastAPI) -> None:
    """What it answers to whom: tests/service/api/test_websocket.py."""
    assert [route.path for route in app.routes if isinstance(route, WebSocketRoute)] == ["/ws"]


def test_every_other_route_has_a_row(app: FastAPI) -> None:
    assert set(others(app)) == {*SAME, *APART}


async def test_g08_other_routes(secret: Store, app: FastAPI, bearers: dict[str, str]) -> None:
    wrong = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for name in others(app):
            method, path = name.split(" ")
            expected = [int(code) for code in APART[name].split()] if name in APART else [SAME[name]] * len(STATES)
            for part, value in (("{type}", "Patient"), ("{id}", "a")):
                path = path.replace(part, value)
            path = "/".join("x" if part.startswith("{") else part for part in path.split("/"))
            got = [await ask(client, method, Asked(path), bearers[s], "") for s in STATES]
            wrong += [(name, word) for answer in got for word in RECORD if word in answer.text]
            told = [answer.status_code for answer in got]
            wrong += [(name, str(expected), str(told))] if told != expected else []
    assert not wrong
