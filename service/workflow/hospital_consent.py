"""Whether a hospital may be told who leads the care of its patient: what the member's Consents say of it.

The answer is filed as the hospital's own, so that reading it asks no Consent: it is asked here, before it is written.
A name and number of a program of substance use disorder care says what the member is treated for (42 CFR 2.12): such
an answer needs a Consent that names the label, as any labelled data does.
"""

from fhir_profiles import Resource
from service.access.consent.decide import decide
from service.access.consent.rules import Asker, Facts, Permit, Relation
from service.access.context import Context, parse
from service.search.purposes import purposes_of
from service.store import clearance, epochs, label_rules, stays
from service.store import transitional_care as rows
from service.store.change import Change
from service.workflow.parties import reference_of

MOST_ABOVE = 8


async def may_hear(ctx: Context, change: Change, answer: Resource, patient: str, hospital: str) -> bool:
    """answer: the Communication to be. A Consent that changes at this moment lets the Change fail and be made anew."""
    keys, member = ctx.store.keys, ctx.store.keys.resource(patient)
    change.epochs[member] = await epochs.epoch(ctx.store, member)
    bits = await _labels(ctx, answer, patient, hospital)
    names = {keys.resource(one) for one in await _line(ctx, hospital)}
    asker = Asker(Relation.PANEL, frozenset(names), purposes_of("TREAT"), ctx.now_us)
    about = Facts(keys.resource(f"Communication/{answer['id']}"), "Communication", member, bits, ctx.organization_key)
    return isinstance(decide(asker, about, await clearance.rules_of(ctx.store, member)), Permit)


async def _line(ctx: Context, organization: str) -> list[str]:
    """The organization and those that it is part of."""
    line: list[str] = []
    while organization and organization not in line and len(line) <= MOST_ABOVE:
        line.append(organization)
        held = await ctx.resource(organization)
        organization = reference_of(held[0], "partOf") if held else ""
    return line


async def _labels(ctx: Context, answer: Resource, patient: str, hospital: str) -> int:
    """What the answer says by whom it names and where they work. That it is a patient of its own the hospital knows."""
    keys, lead = ctx.store.keys, reference_of(answer, "sender")
    places = {lead, *await stays.responsible(ctx.store, patient, "ecm-provider", ctx.now_us)}
    held = await ctx.resource(lead)
    roles = [parse(one.body) for one in await rows.roles(ctx.store, lead)] if lead.startswith("Practitioner/") else []
    for role in [*roles, *([held[0]] if held else [])]:
        places |= {reference_of(role, name) for name in ("organization", "practitioner")}
    places -= {"", hospital}
    rules = await label_rules.by_key(ctx.store)
    bits = ctx.write(answer, 0).labels
    for place in places:
        for kind in label_rules.KINDS:
            bits |= rules.get(label_rules.key_of(keys, kind, place), 0)
    return bits
