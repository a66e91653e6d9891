"""The roster changed (job adt.rematch), or a number became known: what waited for a member is decided anew.

A member who is added after the admission is found so, and the care manager is told "already in hospital".
"""

from collections.abc import Iterable
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.store import epochs, waiting_terms
from service.store.change import Change, Job
from service.store.inbox_terms import Term
from service.store.matches import Number
from service.store.together import together
from service.workflow.match_reviews import settle_job
from service.workflow.person_names import family_keys
from service.workflow.stay_world import person_key
from service.workflow.steps import Step

KINDS_THAT_IDENTIFY = ("identifier", "name", "birthDate", "gender", "telecom", "address")
AGAIN_US = 30_000_000
"""What was in hand when the roster changed is stored by then, or its lease has ended (work.LEASE_US)."""


async def roster_changed(step: Step) -> None:
    """After the write of a Patient: only where something changed by which people are known."""
    old = step.old or {}
    if any(old.get(element) != step.new.get(element) for element in KINDS_THAT_IDENTIFY):
        reference = f"Patient/{step.new['id']}"
        # Not deduplicated: one that runs has read the former version.
        step.change.jobs.append(Job("adt.rematch", {"patient": reference}))


async def known_now(ctx: Context, change: Change, numbers: Iterable[Number]) -> Change:
    """For the Change that makes them known: it comes before, or after, the whole of one that begins to wait under one.

    Who begins to wait relies on the same epochs before it asks whose the number is, and bumps them (stay_world.waits).
    """
    known = dict.fromkeys(numbers)
    keys = {ctx.store.keys.of("stay", person_key(ctx, *number)) for number in known}
    seen, stays = await together(
        ctx.store,
        epochs.several(ctx.store, keys - change.epochs.keys()),
        waiting_terms.stays(ctx.store, [("wait", "mrn", value, authority) for authority, value in known]),
    )
    return Change(epochs=seen, bump_epochs=keys, jobs=[settle_job(stay) for stay in stays])


async def rematch(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"patient": reference}; "again" where this is the second look.

    {"number": [authority, number]}: of a release that made a number known without known_now().
    """
    found = Change()
    terms = await _terms(ctx, payload)
    # In this order: what is stored between the two looks is seen by the second.
    in_hand, stays = await together(ctx.store, waiting_terms.in_hand(ctx.store), waiting_terms.stays(ctx.store, terms))
    found.jobs += [settle_job(stay) for stay in stays]
    if terms and not payload.get("again") and in_hand:
        # A message that is being decided on the roster as it was is not unmatched yet: look once more.
        found.jobs.append(Job("adt.rematch", {**payload, "again": True}, due_us=ctx.now_us + AGAIN_US))
    return found


async def _terms(ctx: Context, payload: dict[str, Any]) -> list[Term]:
    if "number" in payload:
        authority, number = payload["number"]
        return [("wait", "mrn", str(number), str(authority))]
    held = await ctx.resource(str(payload["patient"]))
    return terms_of(held[0]) if held else []


def terms_of(patient: Resource) -> list[Term]:
    """What the Lookups of a message that means this person would be; see member_match.candidates_wanted."""
    found: list[Term] = [("wait", "panel", str(patient.get("id", "")), "")]
    for one in patient.get("identifier") or ():
        value, system = str(one.get("value", "")), str(one.get("system", ""))
        found += [("wait", "cin", value.upper(), ""), ("wait", "mrn", value, system)]
    born = str(patient.get("birthDate", ""))
    families = {k for name in patient.get("name") or () for k in family_keys(str(name.get("family", "")))}
    if len(born) == 10:
        found += [("wait", "demographics", key, born) for key in sorted(families)]
    return list(dict.fromkeys(found))
