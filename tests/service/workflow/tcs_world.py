"""A member with a lead care manager, stays made of events, and what transitional care makes of them in the store."""

from typing import Any

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context, Settings
from service.caller import system_caller
from service.store import timers
from service.store.change import Change
from service.store.engine import Store
from service.worker import Worker
from service.workflow import relays
from service.workflow.stay_alerts import Told, alert_writes, alerts_ahead
from service.workflow.stays import reduce
from service.workflow.transitional_care import tcs_writes
from tests.scenarios.adt_truth import resources
from tests.service.workflow.made_up import stored, us
from tests.service.world import LCM1, make, put, ref

MERCY = "Organization/mercy"
DAY = 1440
"""Minutes."""


def at(store: Store, minute: float) -> None:
    """Sets the frozen clock."""
    store.clock.advance(us(minute) - store.clock.now_us())  # type: ignore[attr-defined]


def context(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


class Stay:
    """One stay: told its events so far, it goes from the state before to the state now as a message would."""

    def __init__(self, store: Store, name: str = "one", patient: str = "Patient/a", facility: str = MERCY):
        self.store, self.patient, self.facility = store, patient, facility
        self.encounter = f"Encounter/stay-{name}"
        self._events: list[AdtEvent] = []

    async def hears(self, *events: AdtEvent, minute: float | None = None) -> None:
        """minute: when they come; a minute after the last of them unless told."""
        at(self.store, minute if minute is not None else (events[-1].occurred - us(0)) / 60_000_000 + 1)
        was = reduce(stored(*self._events)) if self._events else None
        self._events += events
        now = reduce(stored(*self._events))
        ctx, change = context(self.store), Change()
        told = Told(self.encounter, self.patient, "Up M.", "Mercy", self.facility)
        alerts = await alerts_ahead(ctx, self.encounter, self.patient, "", was, now)
        done, _ = await alert_writes(ctx, change, told, was, now, alerts)
        await self._encounter(ctx, change, now.status)
        await tcs_writes(ctx, change, told, done, was, now, await relays.ahead(ctx, self.patient))
        await self.store.commit(change)
        await drain(self.store)

    async def is_anothers(self) -> None:
        """Its match was reversed."""
        ctx, change = context(self.store), Change()
        told = Told(self.encounter, self.patient, "Up M.", "Mercy", self.facility)
        await self._encounter(ctx, change, "entered-in-error")
        ahead = await relays.ahead(ctx, self.patient)
        await tcs_writes(ctx, change, told, [], reduce(stored(*self._events)), None, ahead)
        await self.store.commit(change)
        await drain(self.store)

    async def _encounter(self, ctx: Context, change: Change, status: str) -> None:
        current = await ctx.resource(self.encounter)
        made = make(self.encounter, status=status, subject=ref(self.patient), serviceProvider=ref(self.facility))
        made |= {"identifier": [{"system": "http://mercy.example.org/visit", "value": "V1"}]}
        made["class"] = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
        change.writes.append(ctx.write(made, current[1] if current else 0))


async def drain(store: Store) -> None:
    await Worker(store, Settings()).drain()


async def hospital(store: Store, phone: str = "(555) 555-0100") -> None:
    """Mercy, and the lead care manager with name and number."""
    person = make(LCM1, name=[{"given": ["Ana"], "family": "Ruiz"}])
    await put(store, make(MERCY, name="Mercy"))
    found = await context(store).resource(LCM1)
    ctx = context(store)
    telecom = [{"system": "phone", "value": phone, "use": "work"}] if phone else []
    change = Change(writes=[ctx.write(person | ({"telecom": telecom} if telecom else {}), found[1] if found else 0)])
    await store.commit(change)


async def plans(store: Store) -> list[dict[str, Any]]:
    found = [p for id, p in (await resources(store, "CarePlan")).items() if id.startswith("tcs-")]
    return sorted(found, key=lambda p: str(p["period"]["start"]))


async def tasks(store: Store, plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Id of the action -> Task."""
    found = (await resources(store, "Task")).values()
    return {
        str(t["instantiatesUri"]).partition("#")[2]: t
        for t in found
        if t.get("basedOn") == [{"reference": f"CarePlan/{plan['id']}"}]
    }


async def clocks(store: Store) -> dict[tuple[str, str], list[str]]:
    """(kind, subject) -> states."""
    out: dict[tuple[str, str], list[str]] = {}
    for one in await timers.listed(store, "", "", 1000):
        out.setdefault((one.kind, one.subject), []).append(one.state)
    return out
