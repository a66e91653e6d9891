"""The parties' side of the wire: FHIR over HTTP with a sandbox token each, ADT over MLLP, the plan's file.

HTTP goes through service/egress.py, as all outbound requests do; the sandbox's own address is its one exception.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from service.auth.registration import insertion, new_client
from service.auth.sandbox import SandboxRefused, issue_sandbox_token
from service.cli.files import import_bytes
from service.cli.mllp_client import Connection, Refused
from service.cli.seed.logins import ALL
from service.cli.stories.story import Party, StoryFailed
from service.egress import Egress, EgressFailed, EgressRefused
from service.settings import Settings
from service.store import credentials, timers
from service.store.change import Change, Job
from service.store.engine import Store
from service.workflow.member_files import Imported, IncomingFile

TIMEOUT_S = 20.0
TOKEN_TTL_S = 3600


@dataclass(frozen=True)
class Answer:
    """status: of HTTP. body: {} where there is none."""

    status: int
    body: Resource

    @property
    def entries(self) -> list[Resource]:
        """The resources of a searchset, without the outcome."""
        found = [entry for entry in self.body.get("entry", ()) if entry.get("search", {}).get("mode") != "outcome"]
        return [entry["resource"] for entry in found]

    @property
    def why(self) -> str:
        """What an OperationOutcome says: element, rule, remedy; it repeats nobody's data."""
        return " ".join(str(issue.get("diagnostics", "")) for issue in self.body.get("issue", ())).strip()


@dataclass
class Wire:
    """store: for what the command line does beside the service (tokens, file import), never to look."""

    store: Store
    settings: Settings
    _tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.http_host, self.settings.http_host)
        self._place = f"[{host}]:{self.settings.http_port}" if ":" in host else f"{host}:{self.settings.http_port}"
        self._egress = Egress(allow=(self._place,), timeout_s=TIMEOUT_S)

    async def close(self) -> None:
        await self._egress.close()

    async def request(
        self, party: Party, method: str, path: str, body: Resource | None = None, version: str = ""
    ) -> Answer:
        """path: behind /fhir/. version: for If-Match. Raises StoryFailed where nobody answers."""
        headers = {"Authorization": f"Bearer {await self._token(party)}", "Accept": "application/fhir+json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
            content = json.dumps(body, ensure_ascii=False).encode()
        if version:
            headers["If-Match"] = f'W/"{version}"'
        try:
            answer = await self._egress.request(
                method, f"http://{self._place}/fhir/{path}", content=content, headers=headers
            )
        except (EgressFailed, EgressRefused) as error:
            text = f"the service at {self._place} did not answer {method} ({error.reason}): is it still running?"
            raise StoryFailed(text) from None
        return Answer(answer.status, json.loads(answer.body) if answer.body else {})

    async def registered(self, party: Party) -> bool:
        """Whether this client had to be registered, as the operator does for a partner that is new."""
        if any(client.name == party.client for client in await credentials.clients(self.store)):
            return False
        facts: dict[str, Any] = {
            "name": party.client,
            "organization": party.organization,
            "role": party.role,
            "scope": ALL,
        }
        client = new_client(party.client, **facts, now_us=self.store.clock.now_us())
        await self.store.commit(insertion(client))
        return True

    async def stopping(self) -> bool:
        """Whether the service is on its way down, or is gone."""
        try:
            answer = await self._egress.request("GET", f"http://{self._place}/readyz")
            return b'"stopping"' in answer.body
        except (EgressFailed, EgressRefused):
            return True

    async def _token(self, party: Party) -> str:
        if party.client not in self._tokens:
            try:
                self._tokens[party.client] = await issue_sandbox_token(
                    self.store, self.settings.env, party.role, party.client, TOKEN_TTL_S
                )
            except SandboxRefused as error:
                raise StoryFailed(f"there is no token for {party.client}. {error}") from None
        return self._tokens[party.client]

    async def send(self, message: bytes) -> str:
        """The ACK code of the listener. Raises StoryFailed."""
        host, port = self.settings.mllp_host, self.settings.mllp_port
        try:
            async with Connection(host, port) as connection:
                return await connection.send(message)
        except (TimeoutError, OSError, Refused):
            raise StoryFailed(f"the ADT listener at {host}:{port} did not acknowledge: is it still running?") from None

    async def run_out(self, kind: str, subject: str) -> bool:
        """The time of a running clock (a row of timers.json) is over, as if the days had passed."""
        running = await timers.about(self.store, subject)
        found = next((one for one in running if one.kind == kind and one.state == "running"), None)
        if found is not None:
            over = timers.postponed(found.dedupe, min(0, self.store.clock.now_us() - found.due_us))
            await self.store.commit(Change(statements=[over], jobs=[Job("timer.due", {})]))
        return found is not None

    async def plan_file(self, slug: str, content: bytes) -> Imported:
        """As `enlace files import member-information` does it."""
        file = IncomingFile("member-information", "story.csv", content)
        return await import_bytes(self.store, self.settings, file, slug)


def reference(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
