"""A referral of patient A by ECM 1 to CBO 1 and what its parties do, over REST; the jobs run behind each step."""

from dataclasses import dataclass
from typing import Any

import httpx

from service.access.context import Settings
from service.store import timers
from service.store.change import Change, Job
from service.store.engine import Store
from service.worker import Worker
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ref

Resource = dict[str, Any]
HOUR = 3_600_000_000
DAY = 24 * HOUR
DONE = {"output": [{"type": {"text": "resulting-activity"}, "valueReference": ref("Procedure/a")}]}
WHY = {"statusReason": {"text": "Made-up reason"}}


@dataclass
class Referral:
    """One Task on its way. by: who takes the next step where nothing else is said."""

    store: Store
    app_client: AppClient
    id: str = ""
    request: str = "ServiceRequest/a"

    async def ecm(self) -> httpx.AsyncClient:
        """A client with a token of this moment: these tests let months pass."""
        return await self.app_client("ecm-provider", ECM1)

    async def cbo(self) -> httpx.AsyncClient:
        return await self.app_client("cbo", CBO1)

    async def open(self, **more: Any) -> "Referral":
        body: Resource = {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "authoredOn": "2026-03-01T10:00:00Z",
            "code": {"text": "fulfill"},
            "focus": ref(self.request),
            "for": ref("Patient/a"),
            "requester": ref(ECM1),
            "owner": ref(CBO1),
        } | more
        answer = await (await self.ecm()).post("/Task", json=body)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        await drain(self.store)
        return self

    @property
    def reference(self) -> str:
        return f"Task/{self.id}"

    async def task(self) -> Resource:
        return (await resources(self.store, "Task"))[self.id]

    async def put(self, client: httpx.AsyncClient | None = None, **changes: Any) -> httpx.Response:
        now, client = await self.task(), client or await self.cbo()
        body = {name: value for name, value in (now | changes).items() if value is not None}
        tag = f'W/"{now["meta"]["versionId"]}"'
        return await client.put(f"/{self.reference}", json=body, headers={"If-Match": tag})

    async def step(self, status: str, client: httpx.AsyncClient | None = None, **changes: Any) -> Resource:
        answer = await self.put(client, status=status, **changes)
        assert answer.status_code == 200, answer.text
        await drain(self.store)
        return dict(answer.json())

    async def clocks(self, state: str = "running") -> list[str]:
        rows = [one for one in await timers.listed(self.store, "", state, 100) if one.subject == self.reference]
        return sorted(one.kind.removeprefix("referral-") for one in rows)

    async def overdue(self) -> list[str]:
        return sorted(e["valueCode"] for e in (await self.task()).get("extension", ()) if "overdue" in e["url"])

    async def items(self, status: str = "requested") -> list[Resource]:
        found = (await resources(self.store, "Task")).values()
        return [one for one in found if one["id"][:3] in ("rf-", "fp-") and one["status"] == status]

    async def told(self, category: str) -> list[Resource]:
        found = (await resources(self.store, "Communication")).values()
        return [one for one in found if one["category"][0]["coding"][0]["code"] == category]


async def referral(store: Store, app_client: AppClient, **more: Any) -> Referral:
    return await Referral(store, app_client).open(**more)


async def drain(store: Store) -> None:
    await Worker(store, Settings()).drain()


async def pass_by(store: Store, us: int) -> None:
    store.clock.advance(us)  # type: ignore[attr-defined]
    await store.commit(Change(jobs=[Job("timer.due", {})]))
    await drain(store)
