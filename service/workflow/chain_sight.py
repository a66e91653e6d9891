"""What the organization to whom a referral is forwarded may see of it: asked of the member's Consents beforehand.

A referral does not start unless its target may see the ServiceRequest, the Task and the member's minimum view
(../shared/facts/closed-loop.md 4.5). What the coordinator may read and not pass on stops here, whoever labelled it.
What the copy refers to is judged alike, reference by reference; a Consent in supportingInfo always travels.
"""

from collections.abc import Sequence

from fhir_profiles import Resource
from service.access.consent.decide import decide
from service.access.consent.rules import Asker, Facts, Permit, Relation, Rule
from service.access.context import Context
from service.search.purposes import purposes_of
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import clearance, label_rules, read
from service.store.change import Write
from service.workflow.chain_copies import FILTERED
from service.workflow.parties import reference_of

MOST_ABOVE = 8


async def asker(ctx: Context, organization: str) -> Asker:
    """The target, under every name by which a Consent may mean it: itself and what it is part of."""
    line: list[str] = []
    while organization and organization not in line and len(line) <= MOST_ABOVE:
        line.append(organization)
        held = await ctx.resource(organization)
        organization = reference_of(held[0], "partOf") if held else ""
    names = frozenset(ctx.store.keys.resource(one) for one in line)
    return Asker(Relation.PANEL, names, purposes_of("TREAT"), ctx.now_us)


async def may_see(
    ctx: Context, who: Asker, patient: str, writes: Sequence[Write], stored: Sequence[read.Found] = ()
) -> bool:
    """Whether the target may see all that is written for it, what is stored already, and the member at all."""
    keys = ctx.store.keys
    rules = await clearance.rules_of(ctx.store, keys.resource(patient))
    member = await read.head(ctx.store, "Patient", patient.partition("/")[2], EVERYTHING)
    if member is None:
        return False
    by_rule = await label_rules.by_key(ctx.store)
    facts = [Facts(member.key, "Patient", member.key, member.labels, member.source_org)]
    facts += [Facts(one.key, one.rtype, member.key, one.labels, one.source_org) for one in stored]
    for one in writes:
        bits = one.labels
        for key in one.ruled:
            bits |= by_rule.get(key, 0)
        targets = frozenset(target for _, target in one.index.edges)
        facts.append(Facts(keys.resource(one.reference), one.rtype, member.key, bits, one.source_org, targets))
    return all(isinstance(decide(who, one, rules), Permit) for one in facts)


async def passed(ctx: Context, whom: Sequence[Asker], source: Resource, patient: str) -> set[str]:
    """Of what the source refers to, as written there: what all of these may see. Other servers' references stay."""
    written = [str(one.get("reference") or "") for name in FILTERED for one in source.get(name) or ()]
    local = {one: normal_reference(one, ctx.settings.base_url) or "" for one in written if one}
    found = await read.heads(ctx.store, [one for one in local.values() if "://" not in one and "/" in one], EVERYTHING)
    seen = await ctx.standing(list(found))
    rules = await clearance.rules_of(ctx.store, ctx.store.keys.resource(patient))
    return {
        name
        for name, reference in local.items()
        if reference in seen and (reference.startswith("Consent/") or _all(whom, found[reference], rules))
    }


def _all(whom: Sequence[Asker], one: read.Found, rules: Sequence[Rule]) -> bool:
    facts = Facts(one.key, one.rtype, one.patient, one.labels, one.source_org)
    return all(isinstance(decide(who, facts, rules), Permit) for who in whom)
