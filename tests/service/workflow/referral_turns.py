"""What the machine of referrals draws: who does what by which way, and which answers the model allows."""

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st

from tests.service.workflow import referral_acts as acts
from tests.service.workflow import referral_model as model
from tests.service.workflow.referral_desk import BY_ORGANIZATION, PARTIES, Desk, World, stored
from tests.service.workflow.referral_model import OPEN, Referral, Resource
from tests.service.world import CBO1, CBO2, PLAN1, ref

DONE = {"type": {"text": "done"}, "valueString": "done"}
ASKED = {"coding": [{"system": "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS", "code": "5.2"}]}
Act = Callable[[], Awaitable[int]]
Expected = set[int]


class Turns:
    """Of one member's referral and what comes of it. source: the ServiceRequest. calaim: it asks for such a service."""

    def __init__(self, desk: Desk, member: str, source: str, calaim: bool):
        self.desk, self.member, self.source, self.calaim = desk, member, source, calaim

    async def world(self) -> World:
        return await stored(self.desk, self.member)

    async def planned(self, drawn: tuple[str, Any]) -> tuple[Act, Expected]:
        found: tuple[Act, Expected] = getattr(self, drawn[0])(await self.world(), drawn[1])
        return found

    async def bundle(self, world: World, pairs: list[Any]) -> tuple[str, list[Resource], list[int]]:
        """One party moves two of its referrals: (who, entries, what is expected of each)"""
        who = BY_ORGANIZATION.get(self._one(world, pairs[0][0]).owner, "ecm")
        entries, wanted = [], []
        for nth, pick, *_ in {draw[0] % len(world.referrals): draw for draw in pairs}.values():
            one = self._one(world, nth)
            nexts = [*model.MOVES.get(one.status, {"entered-in-error": "r"})]
            changes: Resource = {"status": nexts[pick % len(nexts)], "statusReason": {"text": "both"}}
            if changes["status"] == "completed":
                changes["output"] = [*one.body.get("output", ()), DONE]
            if one.asked:
                changes["businessStatus"] = {"text": "answered"}
            entries.append(acts.entry(one.body, changes, f'W/"{one.version}"'))
            wanted.append(model.moved(one, PARTIES[who][1], world.sees(who, one), changes, "good"))
        return who, entries, wanted

    def move(self, world: World, draw: tuple[int, int, str, str, str]) -> tuple[Act, Expected]:
        nth, pick, who, way, how = draw
        one = self._one(world, nth)
        nexts = [*model.MOVES.get(one.status, {})]
        new = nexts[pick % len(nexts)] if nexts and pick < 9 else model.STATUSES[pick % len(model.STATUSES)]
        if who == "right":
            by = model.MOVES.get(one.status, {}).get(new, "r")
            who = BY_ORGANIZATION.get(one.owner or CBO1 if by[-1] == "t" else one.requester, "ecm")
        changes: Resource = {"status": new}
        if how != "bare" and (new in model.SAYS_WHY or how == "much"):
            changes["statusReason"] = {"text": f"because {new}"}
        if how != "bare" and (new == "completed" or how == "much"):
            changes["output"] = [*one.body.get("output", ()), DONE]
        if not one.owner and new == "accepted" and who in ("one", "two") and how != "bare":
            changes["owner"] = ref(PARTIES[who][1])
        if one.asked and new in ("rejected", "failed", "completed"):
            changes["businessStatus"] = {"text": "answered"}
        match = how if how in ("stale", "none") else "good"
        tag = {"good": f'W/"{one.version}"', "stale": f'W/"{one.version + 1}"', "none": ""}[match]
        wanted = model.moved(one, PARTIES[who][1], world.sees(who, one), changes, match)

        async def act() -> int:
            return await acts.write(await self.desk.client(who), way, one.body, changes, tag)

        return act, {wanted}

    def link(self, world: World, draw: tuple[int, str, str, bool]) -> tuple[Act, Expected]:
        nth, who, code, stale = draw
        one = self._one(world, nth)
        to = acts.BY_CODE[code].to
        changes: Resource = {"status": to, "note": [*one.body.get("note", ()), {"text": "new"}]}
        if to in model.SAYS_WHY:
            changes["statusReason"] = {"text": "said"}
        if to == "completed":
            changes["output"] = [*one.body.get("output", ()), DONE]
        if not one.owner:
            changes["owner"] = ref(PARTIES[who][1])
        match = "stale" if stale else "good"
        wanted = {model.moved(one, PARTIES[who][1], world.sees(who, one), changes, match)}
        if one.asked:  # a page drops no business status
            wanted |= {422}
        if not world.sees(who, one) or stale:
            wanted |= {403, 404, 412, 422}  # a Procedure for a request that one does not see is refused first

        async def act() -> int:
            request_ = world.requests[one.focus]
            return await acts.by_link(
                self.desk.store, PARTIES[who][1], one.body, request_, one.version + int(stale), code
            )

        return act, wanted

    def ask(self, world: World, draw: tuple[int]) -> tuple[Act, Expected]:
        """The requester asks to cancel."""
        one = self._one(world, draw[0])
        who = BY_ORGANIZATION.get(one.requester, "ecm")
        others = [c for c in (one.body.get("businessStatus") or {}).get("coding", ()) if "bser" not in c["system"]]
        changes = {"status": one.status, "businessStatus": {"coding": [*others, *ASKED["coding"]]}}

        async def act() -> int:
            return await acts.write(await self.desk.client(who), "put", one.body, changes, f'W/"{one.version}"')

        return act, {200} if one.status in OPEN else {200, 422} if one.asked else {422}  # 200: nothing changes

    def request(self, world: World, draw: tuple[int, str, str]) -> tuple[Act, Expected]:
        nth, who, new = draw
        name = sorted(world.requests)[nth % len(world.requests)]
        body = world.requests[name]
        owner = BY_ORGANIZATION[body["requester"]["reference"]]
        who = owner if who == "right" else who
        sees = who in ("ecm", "plan")
        if who == owner:
            above = [str(world.requests[one["reference"]]["status"]) for one in body.get("basedOn", ())]
            wanted = {model.request_moved(str(body["status"]), new, world.about(name), above)}
        else:
            wanted = {403} if who in ("one", "two") or sees else {404}
        tag = f'W/"{body["meta"]["versionId"]}"'

        async def act() -> int:
            return await acts.write(await self.desk.client(who), "put", body, {"status": new}, tag)

        return act, wanted

    def refer(self, world: World, draw: tuple[str, str]) -> tuple[Act, Expected]:
        who, to = draw
        about = world.about(self.source)
        drafted = to != "" and any(o.owner == to and o.status == "draft" for o in about)
        open_ = [o for o in about if o.status in OPEN]
        same = [o for o in open_ if o.owner == to]
        active = world.requests[self.source]["status"] == "active"
        opens = 201 if active and not open_ else 422
        party = any(o.focus == self.source and world.sees(who, o) for o in world.referrals.values())
        wanted = {422 if drafted else 200 if same else opens} if who == "ecm" else {403}
        wanted = {404} if not party else wanted
        values = (
            [("target", "valueReference", to)] if to else [("candidate", "valueReference", one) for one in (CBO1, CBO2)]
        )

        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/{self.source}/$refer", *values)

        return act, wanted

    def forward(self, world: World, draw: tuple[int, str, bool, bool, bool]) -> tuple[Act, Expected]:
        nth, who, both, first, other = draw
        one = self._one(world, nth)
        below = [o for o in world.referrals.values() if o.parent == f"Task/{one.body['id']}"]
        if who in ("one", "two"):
            wanted = {403}
        elif not world.sees(who, one):
            wanted = {404}
        elif PARTIES[who][1] != one.owner:
            wanted = {403}
        elif one.status not in OPEN or one.request != "active":
            wanted = {422}
        else:
            wanted = {201} if not below else {201, 422}
        values = [("target", "valueReference", o) for o in ((CBO1, CBO2) if both else (CBO2 if other else CBO1,))]
        values.append(("policy", "valueCode", "first-completes" if first else "all-complete"))

        async def act() -> int:
            path = f"/Task/{one.body['id']}/$forward"
            return await acts.operation(await self.desk.client(who), path, *values)

        return act, wanted

    def authorize(self, world: World, draw: tuple[int, str, str, bool]) -> tuple[Act, Expected]:
        nth, who, outcome, said = draw
        one = self._one(world, nth)
        before = model.coded(one.body, "businessStatus", "/authorization-outcome")
        wanted = model.authorized(one, outcome, said, before) if self.calaim and one.owner == PLAN1 else 422
        if who != "plan":
            wanted = 403
        elif not said and outcome != "approved":
            wanted = 400
        elif one.owner != PLAN1:
            return self._authorize(one, who, values_of(outcome, said)), {403, 422}
        return self._authorize(one, who, values_of(outcome, said)), {wanted}

    def _authorize(self, one: Referral, who: str, values: list[Any]) -> Act:
        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/Task/{one.body['id']}/$authorize", *values)

        return act

    def hand_off(self, world: World, draw: tuple[int, str]) -> tuple[Act, Expected]:
        nth, who = draw
        one = self._one(world, nth)
        party = PARTIES[who][1] in (one.owner, one.requester)
        wanted = 404 if not world.sees(who, one) else 403 if not party else 200 if one.status in OPEN else 422
        values = [("participant", "valueReference", self.member), ("participant", "valueReference", CBO1),
                  ("accepted-by", "valueReference", CBO1)]  # fmt: skip

        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/Task/{one.body['id']}/$hand-off", *values)

        return act, {wanted}

    def _one(self, world: World, nth: int) -> Referral:
        return list(world.referrals.values())[nth % len(world.referrals)]


def values_of(outcome: str, said: bool) -> list[Any]:
    values: list[Any] = [("outcome", "valueCode", outcome)]
    values += [("reason", "valueString", "Our reason")] if said else []
    if outcome == "approved":
        period = {"start": "2026-03-01", "end": "2026-09-01"}
        values += [("number", "valueString", "A-1"), ("period", "valuePeriod", period)]
    return values


def _several(*names: Any) -> st.SearchStrategy[Any]:
    return st.tuples(*(one if isinstance(one, st.SearchStrategy) else st.sampled_from(one) for one in names))


NTH = st.integers(0, 5)
WHO = ("right", "right", "right", "right", *PARTIES)
HOW = ("good", "good", "good", "good", "much", "bare", "stale", "none")
MOVES = st.tuples(st.just("move"), _several(NTH, st.integers(0, 18), WHO, (*acts.WAYS, "batch", "transaction"), HOW))
CBOS = ("one", "two")
ACTS = st.one_of(
    MOVES,
    MOVES,
    MOVES,
    st.tuples(st.just("link"), _several(NTH, CBOS, tuple(acts.BY_CODE), (False, False, True))),
    st.tuples(st.just("ask"), st.tuples(NTH)),
    st.tuples(st.just("request"), _several(NTH, ("right", "right", *PARTIES), ("active", "on-hold", "active", "on-hold",
              "revoked", "completed", "entered-in-error"))),
    st.tuples(st.just("refer"), _several(("ecm", "ecm", *PARTIES), (CBO1, CBO2, PLAN1, ""))),
    st.tuples(st.just("forward"), _several(NTH, ("plan", "plan", "plan", *PARTIES), *(st.booleans(),) * 3)),
    st.tuples(st.just("authorize"), _several(NTH, ("plan", "plan", *PARTIES),
              ("approved", "approved", "denied", "pended", "withdrawn"), (True, True, False))),
    st.tuples(st.just("hand_off"), _several(NTH, tuple(PARTIES))),
)  # fmt: skip
