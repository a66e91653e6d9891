"""What was told of a stay so far, and in this Change: which alert is news, which is there already, which is gone."""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.access.labels import carried
from service.search.keys import Keys
from service.store import alert_work, stays
from service.store.change import Change
from service.workflow.alert_clock import clocked, is_own
from service.workflow.transitions_of_care import OPEN, THREAD_SYSTEM, alert_id, task_id


async def known_of(ctx: Context, encounter: str) -> "Known":
    """encounter: Encounter/id. What others filed about the stay is theirs, whatever it calls itself."""
    return Known(await stays.told(ctx.store, encounter, author=ctx.organization_key))


def thread_name(keys: Keys, thread: str) -> str:
    """As alerts name it. thread: the id of its first stay, which who reads an alert of a later one may not see."""
    return f"{keys.of('alert-thread', thread) & (1 << 64) - 1:016x}"


class Known:
    """What was told of this stay so far, and in this Change."""

    def __init__(self, rows: list[tuple[str, str, int, bytes]]):
        self.resources: dict[str, Resource] = {}
        self.versions: dict[str, int] = {}
        for rtype, fhir_id, version, body in rows:
            self.resources[f"{rtype}/{fhir_id}"] = parse(body)
            self.versions[f"{rtype}/{fhir_id}"] = version
        self.stored = dict(self.resources)
        self.changed: dict[str, Resource] = {}

    def rethread(self, thread: str) -> None:
        """All alerts of the stay stand in the thread that its transition of care has now. thread: its thread_name."""
        for resource in list(self.resources.values()):
            identifiers = resource.get("identifier") or []
            old = [one for one in identifiers if one.get("system") == THREAD_SYSTEM]
            if old and old[0].get("value") != thread:
                kept = [one for one in identifiers if one not in old]
                now = {**resource, "identifier": [*kept, {"system": THREAD_SYSTEM, "value": thread}]}
                reference = f"{resource['resourceType']}/{resource['id']}"
                self.resources[reference] = self.changed[reference] = now

    def follow_ups(self) -> list[Resource]:
        """Open ones of this stay."""
        return [
            one
            for reference, one in self.resources.items()
            if reference.startswith("Task/fu-") and one.get("status") in OPEN
        ]

    def put(self, resource: Resource) -> bool:
        """Whether this is news: a new resource, or a new version of one that is taken back or true again."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        known = self.resources.get(reference)
        if known is not None:
            taken_back = known.get("status") in ("entered-in-error", "cancelled")
            if known.get("status") == resource["status"]:
                return False
            if resource["status"] in ("completed", "requested") and not taken_back:
                return False  # told already; what the care manager did with it stays
        self.resources[reference] = self.changed[reference] = resource
        return True

    def alerts(self, encounter: str, key: str) -> list[Resource]:
        return [
            resource
            for reference, resource in self.resources.items()
            if reference.startswith("Communication/")
            and any(
                resource["id"] == alert_id(encounter, key, str(r.get("reference", "")))
                for r in resource.get("recipient", ())
            )
        ]

    def tasks(self, encounter: str, key: str) -> list[Resource]:
        """The follow-up, and those of who stands in for a recipient (alert_stand_in.py)."""
        own = f"Task/{task_id(encounter, key)}"
        alerts = {f"Communication/{one['id']}" for one in self.alerts(encounter, key)}
        return [
            one
            for reference, one in self.resources.items()
            if reference == own
            or (reference.startswith("Task/fu-") and str((one.get("focus") or {}).get("reference")) in alerts)
        ]

    def own(self) -> list[Resource]:
        """All alerts, whoever got them, as they will be."""
        return [one for one in self.resources.values() if is_own(one)]

    def change(self, resource: Resource) -> None:
        """A new version of what is there."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        self.resources[reference] = self.changed[reference] = resource

    async def commit(self, ctx: Context, change: Change, patient: str) -> None:
        """Adds the writes, and the work on the alerts, to the Change."""
        if not self.changed:
            return
        alerts = self.own()
        names = [f"Communication/{one['id']}" for one in alerts]
        rows = await alert_work.of_alerts(ctx.store, [name for name in names if name in self.stored])
        change.statements += clocked(self.changed.values(), alerts, rows, ctx.now_us)
        for reference, resource in self.changed.items():
            kept = carried(self.stored[reference], resource) if reference in self.stored else resource
            change.writes.append(ctx.write(kept, self.versions.get(reference, 0)))
        # Who gives the member a lead care manager at this moment looks again whether the member is in hospital.
        change.bump_epochs.add(ctx.store.keys.of("stays-of", patient))
