"""A county in which the told stories were played: its running service, and what can be asked of it afterwards."""

import asyncio
import email
import email.policy
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from service.auth.sandbox import issue_sandbox_token
from service.cli.seed.directory import Party
from service.cli.stories.player import play, story
from service.cli.stories.stage import Stage
from service.cli.stories.story import cbo
from service.settings import Settings
from service.workflow.closed_loop import STATUS, date_of
from tests.scenarios.harness import Service, look, rows, wait_for
from tests.service.notify.channels.receivers import Mailbox
from tests.service.web.replying import Buttons

Resource = dict[str, Any]
PANTRY = "Organization/corner-pantry"
DESK = "desk@corner-pantry.example.org"
CLOSED = {
    "sonja": ("task-ecm", "task-home", "request-home", "visit"),
    "felix": tuple(f"{part}-{name}" for part in ("task", "request") for name in ("transition", "meals", "respite")),
    "albert": ("task-fridge", "request-fridge"),
    "susan": ("task-food", "request-food", "task-housing", "request-housing", "find"),
}
"""What is completed at the end."""


@dataclass
class County:
    """The running service. operator: a token that sees all. ended: story -> the stage when it was over."""

    service: Service
    settings: Settings
    operator: str
    mails: Mailbox
    ended: dict[str, Stage]
    began: str
    """The instant before any story."""
    tokens: dict[str, str] = field(default_factory=dict)

    def play(self, name: str) -> Stage:
        """Once for all tests of the module."""
        if name not in self.ended:
            out, told = io.StringIO(), story(name)
            self.ended[name] = asyncio.run(play(self.settings, told, pace=0, out=out))
            numbers = re.findall(rf"^ ?(\d+)/{len(told.steps)}  ", out.getvalue(), re.M)
            assert numbers == [str(number + 1) for number in range(len(told.steps))]
            self.service.drained()
            for made in CLOSED[name]:
                assert self.get(self.ended[name].made[made])["status"] == "completed", made
        return self.ended[name]

    def token(self, role: str, client: str) -> str:
        if client not in self.tokens:
            self.tokens[client] = look(
                self.service.url, lambda store: issue_sandbox_token(store, "sandbox", role, client, 3600)
            )
        return self.tokens[client]

    def get(self, path: str) -> Resource:
        with self.service.client(self.operator) as client:
            answer = client.get(f"/{path}")
        assert answer.status_code == 200, (path, answer.text)
        return dict(answer.json())

    def found(self, query: str) -> list[Resource]:
        return self.service.found(self.operator, query)

    def versions(self, reference: str) -> list[Resource]:
        """Oldest first."""
        return [e["resource"] for e in reversed(self.get(f"{reference}/_history?_count=100")["entry"])]

    def steps(self, reference: str) -> list[str]:
        """Its statuses, each once in a row."""
        found = [str(one["status"]) for one in self.versions(reference)]
        return [one for number, one in enumerate(found) if number == 0 or found[number - 1] != one]

    def loop(self, reference: str) -> dict[str, str]:
        """Closed-loop status -> since when."""
        seen: dict[str, str] = {}
        for one in self.versions(reference):
            for coding in (one.get("businessStatus") or {}).get("coding", ()):
                if coding.get("system") == STATUS:
                    seen.setdefault(coding["code"], date_of(one, "businessStatus", STATUS))
        return seen

    def notices(self, stage: Stage, recipient: str, patient: str = "patient") -> dict[str, Resource]:
        found = self.found(f"Communication?category=clr-notice&subject={stage.made[patient]}&recipient={recipient}")
        return {f"{n['category'][0]['text']} {n['about'][0]['reference']}": n for n in found}

    def letters(self) -> list[tuple[str, str]]:
        """(to, subject and text) of each mail."""
        read = [email.message_from_bytes(one.content, policy=email.policy.default) for one, _ in self.mails.taken]
        return [(str(one["To"]), f"{one['Subject']}\n{one.get_content()}") for one in read]

    def timers(self, reference: str) -> dict[str, str]:
        found = rows(self.service.url, "SELECT kind, state FROM timer WHERE subject = ?", reference)
        return {str(kind): str(state) for kind, state in found}


def in_order(*moments: str) -> bool:
    return all(moments) and list(moments) == sorted(moments)


def rules_of(county: County, reference: str) -> set[str]:
    """Of the versions that the service wrote."""
    sql = "SELECT DISTINCT reason FROM audit WHERE kind = 'derived' AND target = ?"
    return {str(row[0]) for row in rows(county.service.url, sql, reference)}


def recipients(county: County, stage: Stage) -> set[str]:
    """To whom anything of the member went, by the operator's accounting."""
    listed = county.service.cli("audit", "disclosures", stage.made["patient"], "--json")
    return {str(one["recipient_reference"]) for one in json.loads(listed)}


def at_rest(county: County, *references: str) -> None:
    """No clock of a closed Task runs."""
    for one in references:
        assert "running" not in county.timers(one).values(), (one, county.timers(one))


def seen_by(county: County, who: Party | str, reference: str, patient: str) -> set[str]:
    """The ways over which this client gets the resource."""
    rtype, _, fhir_id = reference.partition("/")
    client = who if isinstance(who, str) else cbo(who).client
    role = "mcp" if client.endswith("-mcp") else "cbo"
    token = county.token(role, client)
    batch = {"resourceType": "Bundle", "type": "batch",
             "entry": [{"request": {"method": "GET", "url": reference}}]}  # fmt: skip
    found: set[str] = set()
    with county.service.client(token) as http:
        for path in (
            reference, f"{reference}/_history", f"{rtype}?_id={fhir_id}", f"{rtype}?patient={patient}",
            f"Patient?_id={patient.partition('/')[2]}&_revinclude={rtype}:patient", f"{patient}/$everything",
        ):  # fmt: skip
            answer = http.get(f"/{path}")
            if answer.status_code == 200 and fhir_id in answer.text.replace(path, ""):
                found.add(path.replace(fhir_id, "ID"))
        answer = http.post("", json=batch)
        if answer.status_code == 200 and answer.json()["entry"][0].get("resource"):
            found.add("batch")
    return found


def counted(county: County, measure: str, as_of: str = "", token: str = "") -> Counter[str]:
    """Service -> numerator, of referrals of these days."""
    days = [(datetime.now(UTC) + timedelta(days=ahead)).date().isoformat() for ahead in (-1, 1)]
    query = f"periodStart={days[0]}&periodEnd={days[1]}&stratifier=service" + (f"&asOf={as_of}" if as_of else "")
    with county.service.client(token or county.operator) as client:
        answer = client.get(f"/Measure/{measure}/$evaluate-measure?{query.replace('+', '%2B')}")
    assert answer.status_code == 200, answer.text
    found: Counter[str] = Counter()
    for stratifier in answer.json()["group"][0].get("stratifier", ()):
        for stratum in stratifier.get("stratum", ()):
            counts = {p["code"]["coding"][0]["code"]: p.get("count", 0) for p in stratum.get("population", ())}
            codes = [c["code"] for c in stratum["value"].get("coding", ())] or [stratum["value"].get("text", "")]
            found[codes[0]] += counts.get("numerator", counts.get("initial-population", 0))
    return found


class Desk:
    """The pantry's browser, without JavaScript."""

    def __init__(self, county: County):
        self.county, self.http = county, httpx.Client(base_url=county.service.base, timeout=15)

    def words(self) -> list[str]:
        return [words for to, words in self.county.letters() if to == DESK]

    def found(self, pattern: str) -> str:
        """The last that matches in what was sent to it."""
        return str(wait_for(lambda: [m for words in self.words() for m in re.findall(pattern, words)])[-1])

    def link(self) -> str:
        return self.found(r"https?://[^/\s]+(/r/[A-Z0-9-]+)")

    def code(self) -> str:
        return self.found(r"\b([0-9]{6})\b")

    def press(self, page: httpx.Response, words: str, **typed: str) -> httpx.Response:
        action, parts = next(one for name, one in Buttons(page.text).found.items() if name.startswith(words))
        fields: Any = parts
        answer = self.http.post(action, data=fields["_form"] | fields["_own"] | typed)
        if answer.status_code == 303:
            answer = self.http.get(answer.headers["location"])
        assert answer.status_code == 200, answer.text
        return answer
