"""Three parties act on one referral at once, over PUT, patch, batch and transaction, while jobs run: the law holds.

Every version follows from the one before by an edge; each 200 is a version and no version is lost; whoever sees the
referral in the end sees the same. The seed is in the test's name.
"""

import asyncio
import os
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest

from service.access.context import Settings
from service.store.engine import Store
from service.worker import Worker
from service.workflow.referral_law import OPEN, TERMINAL, TRANSITIONS
from tests.service.conftest import AppClient
from tests.service.world import CBO1, CBO2, ECM1, put, ref, request, task

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EDGES = {(row.old, row.new): row for row in TRANSITIONS}
STATUSES = sorted({row.new for row in TRANSITIONS} | {"received", "ready", "draft"})
REASON, OUTPUT = {"statusReason": {"text": "why"}}, {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
ANSWERED = {200, 400, 403, 404, 409, 412, 422}


class Party:
    """Reads what is there, decides on something (often wrong), and sends it by some way."""

    def __init__(self, client: httpx.AsyncClient, organization: str, chance: Random):
        self.client, self.organization, self.chance = client, organization, chance
        self.done = 0

    async def act(self, path: str) -> None:
        seen = await self.client.get(path)
        if seen.status_code == 404:
            return
        body, tag = seen.json(), seen.headers["etag"]
        nexts = [new for old, new in EDGES if old == body["status"] and new != "entered-in-error"]
        new = self.chance.choice([*nexts, *nexts, *nexts, self.chance.choice(STATUSES)])
        changes: dict[str, Any] = {"status": new}
        if self.chance.random() < 0.8:
            changes |= REASON
        if new == "completed" and self.chance.random() < 0.8:
            changes |= OUTPUT
        if "owner" not in body and new == "accepted":
            changes["owner"] = ref(self.organization)
        await asyncio.sleep(self.chance.random() * 0.01)
        way = self.chance.choice((self._put, self._patch, self._bundle))
        status = await way(path, body, changes, tag)
        assert status in ANSWERED, status
        self.done += status == 200

    async def _put(self, path: str, body: Any, changes: Any, tag: str) -> int:
        return (await self.client.put(path, json=body | changes, headers={"If-Match": tag})).status_code

    async def _patch(self, path: str, _body: Any, changes: Any, tag: str) -> int:
        headers = {"If-Match": tag, "Content-Type": "application/merge-patch+json"}
        return (await self.client.request("PATCH", path, json=changes, headers=headers)).status_code

    async def _bundle(self, path: str, body: Any, changes: Any, tag: str) -> int:
        kind = self.chance.choice(("batch", "transaction"))
        entry = {"resource": body | changes, "request": {"method": "PUT", "url": path[1:], "ifMatch": tag}}
        answer = await self.client.post("", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
        if kind == "batch" and answer.status_code == 200:
            return int(answer.json()["entry"][0]["response"]["status"][:3])
        return answer.status_code


async def moved(client: httpx.AsyncClient, chance: Random) -> None:
    """The requester's own resource goes on hold, on, or is revoked meanwhile."""
    seen = (await client.get("/ServiceRequest/r")).json()
    new = chance.choice(("on-hold", "active", "active", "active", "revoked" if chance.random() < 0.1 else "active"))
    answer = await client.put("/ServiceRequest/r", json=seen | {"status": new})
    assert answer.status_code in ANSWERED


@pytest.mark.parametrize("seed", range(60 if DEEP else 4))
async def test_three_parties_at_once(world: Store, app_client: AppClient, seed: int) -> None:
    chance = Random(seed)
    offered = {"restriction": {"recipient": [ref(CBO1), ref(CBO2)]}}
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), source=ECM1)
    await put(world, task("Task/r", "Patient/a", "ServiceRequest/r", ECM1, None, **offered), source=ECM1)
    named = (("ecm-provider", ECM1), ("cbo", CBO1), ("cbo", CBO2))
    parties = [Party(await app_client(*one), one[1], Random(seed * 10 + n)) for n, one in enumerate(named)]
    worker = Worker(world, Settings())
    for _ in range(8):
        asking = [one.act("/Task/r") for one in parties for _ in range(2)]
        if chance.random() < 0.3:
            asking.append(moved(parties[0].client, chance))
        await asyncio.gather(*asking, worker.drain())
        versions = (await parties[0].client.get("/Task/r/_history?_count=200")).json()["entry"]
        if versions[0]["resource"]["status"] in TERMINAL:
            break
    await worker.drain()
    versions = [one["resource"] for one in (await parties[0].client.get("/Task/r/_history")).json()["entry"]][::-1]
    _check_history(versions)
    derived = await world.fetch("SELECT count(*) FROM audit WHERE kind = 'derived' AND target = 'Task/r'")
    unchanged = await world.fetch("SELECT count(*) FROM audit WHERE kind = 'update-unchanged' AND target = 'Task/r'")
    assert len(versions) == 1 + sum(one.done for one in parties) + derived[0][0] - unchanged[0][0]
    last = versions[-1]
    seen = [await one.client.get("/Task/r") for one in parties]
    assert all(one.status_code == 404 or one.json() == last for one in seen)
    owner = last.get("owner", {}).get("reference")
    for one, answer in zip(parties[1:], seen[1:], strict=True):
        assert (answer.status_code == 200) == (
            (owner is None and last["status"] == "requested") or one.organization == owner
        )
    standing = (await parties[0].client.get("/ServiceRequest/r")).json()["status"]
    assert not (standing == "revoked" and last["status"] in OPEN)
    assert not await world.fetch("SELECT last_error FROM job WHERE last_error <> ''")


def _check_history(versions: list[dict[str, Any]]) -> None:
    for old, new in pairwise(versions):
        assert new["meta"]["versionId"] == str(int(old["meta"]["versionId"]) + 1)
        assert old["status"] == new["status"] or (old["status"], new["status"]) in EDGES
        assert new["status"] not in ("received", "ready")
        row = EDGES.get((old["status"], new["status"]))
        assert row is None or "reason" not in row.needs or new["statusReason"]["text"]
        assert row is None or "output" not in row.needs or new["output"]
        assert old.get("owner") in (None, new.get("owner"))
        nobodys = new["status"] in ("requested", "cancelled", "entered-in-error") and not old.get("owner")
        assert (new.get("owner") is None) == nobodys
