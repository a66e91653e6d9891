"""A Consent that is written becomes rules in the same Change: its own, and those of the Consents that it supersedes.

Supersession is an explicit chain: a Consent whose sourceReference is another Consent of the same patient takes its
place, whatever their dates; also when it is inactive itself, so that a revoked form never brings its forerunner back.
That of another organization takes away only what the former permits: nobody lifts a refusal that others keep.
A Consent that cannot be interpreted opens a Task for whoever keeps it. Source: ../shared/facts/security.md 3.
Who has the member writes it: an organization that lost the member revokes what it wrote, and does nothing else.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_profiles import Resource
from service.access.consent.compile import WITHOUT_RULES, Compiled, compiled
from service.access.consent.provisions import Source
from service.access.context import Context, parse
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.search.values import patient_of
from service.store import clearance, epochs, panels, read
from service.store.change import ABSENT, Change, Stale, Statement
from service.store.engine import Store
from service.workflow.consent_reviews import review
from service.workflow.steps import Step

SUPERSEDING = frozenset({"active", "rejected", "inactive"})
BATCH = 200
MAX_ABOVE = 10
"""Organizations above an organization that are looked at."""
_NOT_YOURS = (
    "A Consent is written by an organization that has the member now: yours has not. What it wrote before it may set "
    "to inactive or entered-in-error."
)

Written = dict[str, tuple[Resource | None, int]]
"""Reference -> what this Change makes of it (None: deleted) and whose it is."""


@dataclass
class Chain:
    """Consents as they will stand: those of the database, and over them those of this Change."""

    store: Store
    base_url: str
    written: Written = field(default_factory=dict)

    async def standing(self, reference: str) -> tuple[Resource, int] | None:
        """The Consent and its author."""
        if reference in self.written:
            resource, author = self.written[reference]
            return None if resource is None else (resource, author)
        rtype, _, fhir_id = reference.partition("/")
        found = await read.head(self.store, rtype, fhir_id, EVERYTHING)
        return None if found is None or found.deleted else (parse(found.body), found.source_org)

    async def rules(self, reference: str) -> Compiled:
        """The rules of a Consent, without those that its successors took away."""
        found = await self.standing(reference)
        if found is None:
            return Compiled()
        consent, author = found
        writers = await self._above(author)
        made = compiled(consent, Source(self.store.keys, self.base_url, await self._roles(consent), writers))
        patient = patient_of(consent, "Consent", self.base_url)
        for successor, other in await self._successors(reference):
            same = patient_of(successor, "Consent", self.base_url) == patient
            if not same or successor.get("status") not in SUPERSEDING:
                continue
            if other == author:
                return Compiled()
            denies = tuple(rule for rule in made.rules if rule.denies)
            made = replace(made, rules=denies, until=max((rule.end_us for rule in denies), default=0))
        return made

    async def _above(self, author: int) -> frozenset[int]:
        """The author and the organizations of which it is part: who names these means the author too."""
        found = {author}
        known = await read.references(self.store, [author])
        reference = known.get(author, "")
        for _ in range(MAX_ABOVE):
            organization = await self.standing(reference) if reference.startswith("Organization/") else None
            written = ((organization[0].get("partOf") or {}) if organization else {}).get("reference")
            reference = (normal_reference(written, self.base_url) or "") if isinstance(written, str) else ""
            if not reference:
                break
            found.add(self.store.keys.resource(reference))
        return frozenset(found)

    async def _successors(self, reference: str) -> list[tuple[Resource, int]]:
        stored = await clearance.successors(self.store, self.store.keys.resource(reference))
        found = [(parse(one.body), one.source_org) for one in stored if one.reference not in {*self.written, reference}]
        for name, (resource, author) in self.written.items():
            if resource is not None and name != reference and source_of(resource, self.base_url) == reference:
                found.append((resource, author))
        return found

    async def _roles(self, consent: Resource) -> dict[str, tuple[str, str]]:
        """PractitionerRoles that the Consent names: who they are, and where."""
        roles: dict[str, tuple[str, str]] = {}
        for written in set(_references(consent.get("provision"))):
            reference = normal_reference(written, self.base_url) or ""
            found = await self.standing(reference) if reference.startswith("PractitionerRole/") else None
            if found is None or found[0].get("active") is False:
                continue
            person, organization = (
                normal_reference(str((found[0].get(element) or {}).get("reference", "")), self.base_url)
                for element in ("practitioner", "organization")
            )
            if person and organization:
                roles[reference] = (person, organization)
        return roles


def source_of(consent: Resource, base_url: str) -> str:
    """The Consent that this one supersedes, or ""."""
    value = consent.get("sourceReference")
    written = value.get("reference") if isinstance(value, dict) else None
    reference = normal_reference(written, base_url) if isinstance(written, str) else None
    return reference if reference and reference.startswith("Consent/") else ""


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


# --- a Consent is written ------------------------------------------------------------------------------------------


async def check_party(step: Step) -> None:
    """Before each write: 403 unless the writer has the member now, by more than a Task; to revoke is always allowed."""
    if step.ctx.restriction.unrestricted:
        return
    if step.interaction == "update" and step.new.get("status") in WITHOUT_RULES and step.new.get("status") != "draft":
        return
    patient = patient_of(step.new, "Consent", step.ctx.settings.base_url)
    if patient is None or not await _has(step.ctx, patient):
        raise FhirError(Category.FORBIDDEN, [Issue(_NOT_YOURS, "Consent", "forbidden")], reason="consent-party")


async def _has(ctx: Context, patient: str) -> bool:
    """By an assignment; or it brought the member in itself, as long as no other organization has the member."""
    key, pending = ctx.store.keys.resource(patient), ctx.pending.get(patient)
    if pending is not None and pending.resource is not None and pending.version == ABSENT:
        return True
    if await panels.has_otherwise(ctx.store, key, ctx.restriction, 0, by_task=False):
        return True
    return await panels.wrote_patient(ctx.store, key, ctx.restriction, alone=True)


async def written(step: Step) -> None:
    """After create and update: the Change replaces the rules, and what was decided on the old ones is stale."""
    write = step.change.writes[-1]
    await _replace(step, write.reference, write.resource, write.source_org)


async def deleted(step: Step) -> None:
    """Before a deletion: its rules go; what it superseded is in force again, as if it had never been written."""
    reference = f"Consent/{step.new['id']}"
    author = await read.source_org(step.ctx.store, step.ctx.store.keys.resource(reference))
    await _replace(step, reference, None, author)


async def _replace(step: Step, reference: str, resource: Resource | None, author: int) -> None:
    store, base = step.ctx.store, step.ctx.settings.base_url
    sources = {source_of(one, base) for one in (step.old, step.new) if one is not None} - {"", reference}
    # Relied on before anything else is read: two writes about one chain follow each other.
    for name in (reference, *sorted(sources)):
        key = store.keys.resource(name)
        step.change.epochs[key] = await epochs.epoch(store, key)
        step.change.bump_epochs.add(key)
    chain = Chain(store, base, {**await _pending(step), reference: (resource, author)})
    patient = patient_of(step.new, "Consent", base)
    if patient:
        step.change.bump_epochs.add(store.keys.resource(patient))
    made = await chain.rules(reference)
    step.change.statements += clearance.replaced(store.keys.resource(reference), made.rules)
    for source in sorted(sources - set(step.ctx.pending)):
        superseded = await chain.rules(source)
        step.change.statements += clearance.replaced(store.keys.resource(source), superseded.rules)
    if resource is not None and patient:
        await review(step, reference, patient, made, author)


async def _pending(step: Step) -> Written:
    """What the other entries of the transaction make of Consents, each with its author."""
    found: Written = {}
    for name, pending in step.ctx.pending.items():
        if name.startswith(("Consent/", "PractitionerRole/")):
            stored = await read.source_org(step.ctx.store, step.ctx.store.keys.resource(name))
            found[name] = (pending.resource, stored or step.ctx.organization_key)
    return found


# --- without a request -----------------------------------------------------------------------------------------------


def rules_of_new(resource: Resource, store: Store, base_url: str = "", *, author: int = 0) -> list[Statement]:
    """For what writes new resources past the interactions (seed): the rules of a Consent that supersedes none.

    author: key of an organization that is part of none.
    """
    if resource["resourceType"] != "Consent":
        return []
    made = compiled(resource, Source(store.keys, base_url, writers=frozenset({author} - {0})))
    return clearance.replaced(store.keys.resource(f"Consent/{resource['id']}"), made.rules)


async def recompile(store: Store, base_url: str) -> AsyncIterator[int]:
    """Makes the rules of all current Consents anew, beside the service: after a release that reads Consents otherwise.

    How many Consents each batch held. One that is written meanwhile gets its rules from that write.
    """
    after = -1
    while found := await clearance.consents(store, after, BATCH):
        after = found[-1][0]
        for _, one in found:
            await _recompiled(store, base_url, one.reference)
        yield len(found)
    await store.commit(Change(statements=[clearance.orphans()]))


async def _recompiled(store: Store, base_url: str, reference: str) -> None:
    """The version that was read is relied on by its epoch: who writes it bumps it."""
    key = store.keys.resource(reference)
    for _ in range(3):
        change = Change(epochs={key: await epochs.epoch(store, key)})
        made = await Chain(store, base_url).rules(reference)
        change.statements += clearance.replaced(key, made.rules)
        change.bump_epochs |= {rule.patient for rule in made.rules}
        try:
            await store.commit(change)
            return
        except Stale:
            continue
