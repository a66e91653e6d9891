"""The world of the delivery scenario: who subscribes, whose right ends in the middle, and what each must hear.

Members belong to groups. Of each group: `ecm` is assigned, `help` owns the referrals, the plan covers all. Parties
whose right ends: `team` stands in the CareTeams, `episode` has an EpisodeOfCare of its own, `owner` owns some Tasks
until they are given to `help`, `release` sees the Tasks labelled SUD by a Consent that is withdrawn.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.store.engine import Store
from tests.service.access.consent.consents import consent, rule
from tests.service.world import (
    SUD,
    access_token,
    change_of,
    coverage,
    episode,
    make,
    patient,
    put,
    ref,
    request,
    task,
    team,
)

TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/referral-status"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
PLAN = "Organization/plan"
ENDING = ("team", "episode", "owner", "release")
ROLES = {"ecm": "ecm-provider", "help": "cbo", "plan": "mcp", "team": "ecm-provider", "episode": "ecm-provider",
         "owner": "cbo", "release": "ecm-provider"}  # fmt: skip


@dataclass(frozen=True)
class Member:
    number: int
    group: int

    @property
    def reference(self) -> str:
        return f"Patient/m{self.number}"


@dataclass
class World:
    """groups, members: how many. tokens: (kind, group) -> access token. ended: (kind, group) -> (vid, instant): what
    has a higher vid may not be told to that party, and nothing at all well after the instant."""

    groups: int
    count: int
    tokens: dict[tuple[str, int], str] = field(default_factory=dict)
    ended: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    consents: dict[int, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def members(self) -> list[Member]:
        return [Member(number, number % self.groups) for number in range(self.count)]

    def of(self, group: int) -> list[Member]:
        return [member for member in self.members if member.group == group]

    async def write(self, store: Store) -> None:
        names = [f"{kind}-{group}" for kind in ROLES if kind != "plan" for group in range(self.groups)]
        await put(store, *(make(f"Organization/{name}", active=True) for name in (*names, "plan")))
        for member in self.members:
            who, n, g = member.reference, member.number, member.group
            await put(
                store,
                patient(who),
                coverage(f"Coverage/{n}", who, PLAN),
                episode(f"EpisodeOfCare/ecm-{n}", who, f"Organization/ecm-{g}"),
                episode(f"EpisodeOfCare/end-{n}", who, f"Organization/episode-{g}"),
                team(f"CareTeam/end-{n}", who, f"Organization/team-{g}"),
                team(f"CareTeam/stay-{n}", who, f"Organization/release-{g}"),
                request(f"ServiceRequest/{n}", who, f"Organization/ecm-{g}"),
                source=PLAN,
            )
        for kind, role in ROLES.items():
            for group in range(self.groups):
                whose = PLAN if kind == "plan" else f"Organization/{kind}-{group}"
                if kind != "plan" or group == 0:
                    self.tokens[kind, group] = await access_token(store, role, whose)
                else:
                    self.tokens[kind, group] = self.tokens["plan", 0]

    # --- what is written while subscribers listen --------------------------------------------------------------------

    def referral(self, member: Member, number: int, kind: str) -> dict[str, Any]:
        """A new Task. kind: plain, owner (owned by who will lose it, as long as that one is there) or release."""
        owner = {"plain": f"Organization/help-{member.group}", "owner": f"Organization/owner-{member.group}"}.get(kind)
        if kind == "owner" and ("owner", member.group) in self.ended:
            owner = f"Organization/help-{member.group}"
        focus, requester = f"ServiceRequest/{member.number}", f"Organization/ecm-{member.group}"
        body = task(f"Task/{kind}-{member.group}-{number}", member.reference, focus, requester, owner)
        return body | ({"meta": SUD} if kind == "release" else {})

    async def end(self, store: Store, kind: str, group: int, tasks: dict[str, tuple[int, dict[str, Any]]]) -> None:
        """Ends the right of one party by one Change, `release` aside (its Consent is withdrawn by the API)."""
        changed: list[tuple[dict[str, Any], int]] = []
        for member in self.of(group):
            who, n = member.reference, member.number
            if kind == "team":
                changed.append((team(f"CareTeam/end-{n}", who, f"Organization/ecm-{group}"), 1))
            if kind == "episode":
                body = episode(f"EpisodeOfCare/end-{n}", who, f"Organization/episode-{group}")
                changed.append((body | {"status": "entered-in-error"}, 1))
        if kind == "owner":
            for reference, (version, body) in list(tasks.items()):
                if reference.startswith(f"Task/owner-{group}-"):
                    given = body | {"owner": ref(f"Organization/help-{group}")}
                    changed.append((given, version))
                    tasks[reference] = (version + 1, given)
        vids = [0]
        for body, version in changed:
            done = await store.commit(change_of(store, body, PLAN, version))
            vids.append(done.written[0].vid)
        # one Change each: of a member given up first nothing may be told either, but that is checked from the last on
        self.ended[kind, group] = (max(vids), store.clock.now_us() / 1e6)

    def permit(self, member: Member) -> dict[str, Any]:
        to = (f"Organization/release-{member.group}",)
        body = consent("Consent/x", rule("permit", to=to, label=("SUD",)), member=member.reference)
        return {name: value for name, value in body.items() if name != "id"}


def subscription(kind: str, group: int, endpoint: str, *, timeout_s: int = 1) -> dict[str, Any]:
    """As the client posts it; the plan asks for one group only, by the owner."""
    criteria: dict[str, Any] = {"criteria": TOPIC}
    if kind == "plan":
        text = f"Task?owner=Organization/help-{group}"
        criteria["_criteria"] = {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text}]}
    return {
        "resourceType": "Subscription",
        "meta": {"profile": [f"{BACKPORT}/backport-subscription"]},
        "status": "requested",
        "reason": f"scenario {kind}",
        **criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}]},
            "extension": [{"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": timeout_s}],
        },
    }


# --- what each must hear, worked out anew from the versions that are stored ------------------------------------------


@dataclass(frozen=True)
class Version:
    vid: int
    reference: str
    kind: str
    group: int
    owner: str


async def triggering(store: Store) -> list[Version]:
    """Versions of Tasks about which referral-status speaks: new, or with another businessStatus or owner."""
    found, before = [], {}
    rows = await store.fetch("SELECT vid, fhir_id, body FROM version WHERE rtype = 'Task' ORDER BY fhir_id, version")
    for vid, fhir_id, body in rows:
        resource = orjson.loads(bytes(body))
        said = (resource["status"], resource.get("businessStatus"), resource.get("owner"))
        if before.get(fhir_id) != said:
            kind, group, _ = fhir_id.split("-")
            owner = resource.get("owner", {}).get("reference", "").removeprefix("Organization/")
            found.append(Version(vid, f"Task/{fhir_id}", kind, int(group), owner))
        before[fhir_id] = said
    return sorted(found, key=lambda one: one.vid)


def due(world: World, kind: str, group: int, versions: list[Version]) -> tuple[Counter[str], Counter[str]]:
    """(what must be told, what may be told at most) of each Task, in numbers of events."""
    must: Counter[str] = Counter()
    most: Counter[str] = Counter()
    until = world.ended.get((kind, group), (2**62, 0.0))[0]
    for one in versions:
        if kind == "help" and one.group == group and one.kind == "owner" and one.owner.startswith("owner"):
            most[one.reference] += 1  # told when the Task is its own already: it may read that version, too
        if one.group != group or not _concerns(kind, one):
            continue
        most[one.reference] += one.vid <= until
        must[one.reference] += (kind, group) not in world.ended
    if kind == "release":  # the right to what bears no label stays
        for one in versions:
            if one.group == group and one.kind != "release":
                must[one.reference] += 1
                most[one.reference] += 1
    return +must, +most


def _concerns(kind: str, one: Version) -> bool:
    if kind == "release":
        return one.kind == "release"
    if one.kind == "release":
        return False
    if kind in ("help", "plan"):
        return one.owner.startswith("help")
    return one.owner.startswith("owner") if kind == "owner" else True
