"""A partner's FHIR server in this process, as the guarded client would reach it: it stores Tasks, and can misbehave.

Use: `there = FakePartner()`; `await add_partner(store)`; `await worker(store, there).drain()` is a worker's work.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from service.access.context import Settings
from service.egress import Answer, EgressFailed
from service.store import partners
from service.store.change import Change
from service.store.engine import Store
from service.store.partners import Partner, Referral
from service.workflow.partner_runner import Partners
from tests.service.world import BASE, CBO1, ECM1

THERE = "https://partner.example.org/fhir"
TOKEN_URL = "https://partner.example.org/auth/token"
HOUR = 3_600_000_000
Resource = dict[str, Any]
Spoil = Callable[[str, str, Answer], Answer]


class FakePartner:
    """Answers what `Egress.request` is asked. conditional: whether it knows If-None-Exist."""

    def __init__(self, *, conditional: bool = True):
        self.conditional = conditional
        self.resources: dict[str, Resource] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[dict[str, list[str]]] = []
        self.down: str | None = None
        self.killed_after: str | None = None
        """Method after whose effect the worker dies, once."""
        self.spoil: Spoil | None = None
        self.offers: Resource | None = None
        """Its CapabilityStatement."""
        self.grants_not = ""
        """For what it grants no token."""
        self.number = 0

    # --- as the service sees it

    async def request(self, method: str, url: str, **more: Any) -> Answer:
        if self.down:
            raise EgressFailed(self.down)
        headers: Mapping[str, str] = more.get("headers") or {}
        content = more.get("content") or b""
        self.asked.append((method, url))
        if url == TOKEN_URL:
            form = parse_qs(content.decode())
            if self.grants_not and self.grants_not in form["scope"][0]:
                return self._json(400, {"error": "invalid_scope"})
            self.tokens.append(form)
            return self._json(200, {"access_token": f"t{len(self.tokens)}", "token_type": "bearer", "expires_in": 300})
        assert not self.tokens or headers["Authorization"].removeprefix("Bearer t") in map(str, self.granted())
        answer = self._answer(method, url.removeprefix(THERE + "/"), content, headers)
        if self.killed_after == method:
            self.killed_after = None
            raise KilledHere
        return self.spoil(method, url, answer) if self.spoil else answer

    async def close(self) -> None:
        return None

    def granted(self) -> list[int]:
        """Numbers of the tokens in use: the last of each scope."""
        return list({form["scope"][0]: number for number, form in enumerate(self.tokens, 1)}.values())

    def _answer(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        path, _, query = path.partition("?")
        if path == "metadata" and self.offers is not None:
            return self._json(200, self.offers)
        if method == "POST" and path == "Subscription":
            return self._subscribe(json.loads(content))
        if method == "POST":
            return self._create(json.loads(content), headers)
        if query and path == "Subscription":
            found = [one for one in self.resources.values() if one["resourceType"] == path]
            return self._json(200, {"resourceType": "Bundle", "entry": [{"resource": one} for one in found]})
        if query:
            return self._search({name: values[0] for name, values in parse_qs(query).items()})
        found = self.resources.get(path)
        if found is None:
            return self._json(404, {"resourceType": "OperationOutcome"})
        if method == "PUT":
            if headers.get("If-Match") != f'W/"{found["meta"]["versionId"]}"':
                return self._json(412, {"resourceType": "OperationOutcome"})
            return self._json(200, self.put(json.loads(content)))
        if method == "DELETE":
            del self.resources[path]
            return Answer(204, {}, b"")
        return self._json(200, found)

    def _subscribe(self, body: Resource) -> Answer:
        self.number += 1
        return self._json(201, self.put({**body, "id": f"there-{self.number}"}))

    def _create(self, body: Resource, headers: Mapping[str, str]) -> Answer:
        condition = unquote(headers.get("If-None-Exist", "")).rpartition("|")[2]
        for known in self.tasks():
            if self.conditional and condition and condition in [one["value"] for one in known["identifier"]]:
                return self._json(200, known)
        self.number += 1
        made = self.put({**body, "id": f"there-{self.number}"})
        return self._json(201, made, location=f"{THERE}/Task/{made['id']}/_history/1")

    def _search(self, query: dict[str, str]) -> Answer:
        if "_id" in query:
            found = [one for one in self.tasks() if one["id"] in query["_id"].split(",")]
        else:
            value = query["identifier"].rpartition("|")[2]
            found = [one for one in self.tasks() if value in [i["value"] for i in one["identifier"]]]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in found]}
        return self._json(200, bundle)

    def _json(self, status: int, body: Any, **headers: str) -> Answer:
        return Answer(status, headers, json.dumps(body).encode())

    # --- as its own people see it

    def tasks(self) -> list[Resource]:
        return [one for one in self.resources.values() if one["resourceType"] == "Task"]

    def put(self, resource: Resource) -> Resource:
        reference = f"{resource['resourceType']}/{resource['id']}"
        former = self.resources.get(reference, {"meta": {"versionId": "0"}})
        version = str(int(former["meta"]["versionId"]) + 1)
        self.resources[reference] = {**resource, "meta": {**resource.get("meta", {}), "versionId": version}}
        return self.resources[reference]

    def subscriptions(self) -> list[Resource]:
        return [one for one in self.resources.values() if one["resourceType"] == "Subscription"]

    def moves(self, status: str, **more: Any) -> Resource:
        """The only Task takes a step."""
        (task,) = self.tasks()
        return self.put({**task, "status": status, **more})

    def count(self, method: str, part: str = "") -> int:
        return sum(1 for asked, url in self.asked if asked == method and part in url and url != TOKEN_URL)


class KilledHere(BaseException):
    """The worker's process ends at this point."""


async def add_partner(store: Store, **more: Any) -> Partner:
    facts: dict[str, Any] = {
        "name": "food-bank", "organization": CBO1, "base_url": THERE, "client_id": "enlace", "token_url": "",
        "scopes": "system/Task.cruds", "direction": "push", "every_s": 3600,
        "owner_there": "Organization/us",
    }  # fmt: skip
    one = Partner(**{**facts, **more})
    await store.commit(Change(statements=[partners.put(one)]))
    return one


def worker(store: Store, there: FakePartner) -> Partners:
    return Partners(store, Settings(base_url=BASE, page_key=b"k" * 32), there)  # type: ignore[arg-type]


async def row(store: Store, task: str = "x") -> Referral:
    found = await partners.referral(store, task)
    assert found is not None
    return found


async def work_items(store: Store) -> list[str]:
    """Codes and reasons of the work for people."""
    found = await store.fetch(
        "SELECT v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.fhir_id LIKE 'pw-%'"
    )
    bodies = [json.loads(bytes(body)) for (body,) in found]
    return sorted(f"{one['code']['coding'][0]['code']}: {one['description']}" for one in bodies)


__all__ = [
    "CBO1",
    "ECM1",
    "HOUR",
    "THERE",
    "TOKEN_URL",
    "FakePartner",
    "KilledHere",
    "add_partner",
    "row",
    "work_items",
    "worker",
]
