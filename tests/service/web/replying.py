"""A food pantry without software that is referred to: its listed address, what it is sent, its browser."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import orjson

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.interactions.create import create
from service.interactions.decision import Preconditions
from service.interactions.settle import settled
from service.interactions.update import update
from service.main import build
from service.notify import people
from service.store import reply_links
from service.store.engine import Store
from service.worker import Worker
from tests.service.notify.notice_world import Recorder
from tests.service.web.browsing import BASE
from tests.service.web.county import ECM, episode, patient, put, settings

PANTRY, OTHER = "Organization/pantry", "Organization/other"
ADDRESS = "front.desk@pantry.example.org"
PHI = ("Rosita", "Quill", "555-0142", "rosita")
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000

Resource = dict[str, Any]


class Buttons(HTMLParser):
    """Words of each button -> (action, fields of its form with the button's own)."""

    def __init__(self, page: str):
        super().__init__()
        self.found: dict[str, tuple[str, dict[str, str]]] = {}
        self._form: tuple[str, dict[str, str]] = ("", {})
        self._own: dict[str, str] = {}
        self._words: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = (given["action"], {})
        elif tag in ("input", "textarea"):
            self._form[1][given["name"]] = given.get("value", "")
        elif tag == "button":
            self._words, self._own = [], {given["name"]: given["value"]} if "name" in given else {}

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._words is not None:
            words = " ".join("".join(self._words).split())
            self.found[words] = (self._form[0], {"_form": self._form[1], "_own": self._own})  # type: ignore[dict-item]
            self._words = None

    def handle_data(self, data: str) -> None:
        if self._words is not None:
            self._words.append(data)


class Desk:
    """The installation and the pantry's front desk."""

    def __init__(self, store: Store, **changes: Any):
        self.store = store
        self.settings = settings(smtp_url="smtps://mail.example.org:465", **changes)
        self.app = build(store, self.settings)
        self.email, self.sms = Recorder(), Recorder()
        self.key: bytes = self.app.state.enlace.page_key
        self.behaviour: Behaviour = self.app.state.enlace.behaviour

    def browser(self, **headers: str) -> "Phone":
        return Phone(self.app, headers)

    def context(self, organization: str = ECM, role: Role = Role.ECM_PROVIDER) -> Context:
        scopes = "system/*.cruds"
        caller = Caller("ehr", role, organization, None, scopes, compile_allows(scopes))
        return Context(self.store, caller, self.store.clock.now_us(), self.behaviour)

    async def made(self, body: Resource, organization: str = ECM) -> Resource:
        ctx = self.context(organization)
        answer = await settled(ctx, lambda c: create(c, body["resourceType"], body, Preconditions()))
        return dict(orjson.loads(answer.body or b"{}"))

    async def refer(self, owner: str | None = PANTRY, **more: Any) -> Resource:
        """A referral of Rosita by the ECM provider; the Task."""
        given = {"reference": "Patient/rosita", **({"display": "Rosita Quill"} if owner else {})}
        request = await self.made(
            {
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "code": {"text": "Food boxes"},
                "subject": given,
                "requester": {"reference": ECM},
                "note": [{"text": "Please call in the morning."}],
                **more.pop("request", {}),
            }
        )
        body: Resource = {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": {"reference": f"ServiceRequest/{request['id']}"},
            "for": given,
            "authoredOn": "2026-03-07T10:00:00-08:00",
            "requester": {"reference": ECM},
            **({"owner": {"reference": owner}} if owner else {}),
            **more,
        }
        return await self.made(body)

    async def change(self, task_id: str, **elements: Any) -> Resource:
        """The requester moves the Task."""
        ctx = self.context()
        found = await ctx.resource(f"Task/{task_id}")
        assert found is not None
        body, version = {**found[0], **elements}, found[1]
        answer = await settled(ctx, lambda c: update(c, "Task", task_id, body, Preconditions(if_match=(version,))))
        return dict(orjson.loads(answer.body or b"{}"))

    async def task(self, task_id: str) -> Resource:
        found = await self.context(ECM).resource(f"Task/{task_id}")
        assert found is not None
        return found[0]

    async def work(self) -> None:
        """Jobs and notices until nothing is due."""
        worker = Worker(self.store, self.behaviour)
        channels = {"email": self.email, "sms": self.sms}
        await worker.drain()
        while await people.deliver_due(self.store, self.behaviour, channels, self.store.clock.now_us()):
            await worker.drain()

    def link(self, number: int = -1) -> str:
        """The path of the link in the newest mail that holds one."""
        found = [m for one in self.email.got for m in re.findall(r"https?://[^/\s]+(/r/[A-Z0-9-]+)", one.text)]
        return str(found[number])

    def code(self) -> str:
        found = [m for one in self.email.got for m in re.findall(r"\b([0-9]{6})\b", one.text)]
        return str(found[-1])

    async def inside(self, task: Resource | None = None, **headers: str) -> tuple["Phone", httpx.Response]:
        """A phone that opened the referral, and its page."""
        task = task or await self.refer()
        await self.work()
        phone = self.browser(**headers)
        page = await phone.get(self.link())
        await phone.press(page, "Send me the code")
        await self.work()
        page = await phone.get(self.link())
        return phone, await phone.pressed(page, "Open the referral", code=self.code())


class Phone(httpx.AsyncClient):
    def __init__(self, app: Any, headers: dict[str, str]):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        super().__init__(transport=transport, base_url=BASE, headers=headers)

    async def press(self, page: httpx.Response, words: str, **changes: str) -> httpx.Response:
        action, parts = next(one for name, one in Buttons(page.text).found.items() if name.startswith(words))
        fields: Any = parts
        return await self.post(action, data=fields["_form"] | fields["_own"] | changes)

    async def pressed(self, page: httpx.Response, words: str, **changes: str) -> httpx.Response:
        """And the page to which it leads."""
        answer = await self.press(page, words, **changes)
        return await self.get(answer.headers["location"]) if answer.status_code == 303 else answer


async def people_of(store: Store) -> None:
    telecom = [{"system": "email", "value": ADDRESS}, {"system": "phone", "value": "+1-209-555-0177"}]
    await put(
        store,
        {"resourceType": "Organization", "id": "pantry", "name": "Made-up Pantry", "telecom": telecom},
        {"resourceType": "Organization", "id": "other", "name": "Made-up Kitchen"},
        patient("rosita", "Rosita", "Quill") | {"telecom": [{"system": "phone", "value": "+1-209-555-0142"}]},
        episode("e-rosita", "rosita", "ana"),
    )


async def links(store: Store) -> list[reply_links.Link]:
    return await reply_links.listed(store)
