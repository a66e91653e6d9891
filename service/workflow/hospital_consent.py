"""Whether a hospital may be told who leads the care of its patient: what the member's Consents say of it.

The answer is filed as the hospital's own, so that reading it asks no Consent: it is asked here, before it is written.
A name and number of a program of substance use disorder care says what the member is treated for (42 CFR 2.12): such
an answer needs a Consent that names the label, as any labelled data does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from service.access.consent.decide import decide
from service.access.consent.rules import Asker, Facts, Permit, Relation
from service.access.context import Context
from service.search.clearance import Rule
from service.search.purposes import purposes_of
from service.store import clearance, label_rules
from service.store.change import Write
from service.store.together import together
from service.workflow.parties import reference_of

MOST_ABOVE = 8


@dataclass(frozen=True)
class Heard:
    """rules: of the member's Consents. labels: bits by the key of a label rule. line: see _line."""

    rules: list[Rule]
    labels: dict[int, int]
    line: list[str]


async def heard_of(ctx: Context, member: int, hospital: str) -> Heard:
    """member: key of the Patient, whose epoch was read before: so a Consent that changes meanwhile is not missed."""
    return Heard(
        *await together(
            ctx.store,
            clearance.rules_of(ctx.store, member),
            label_rules.by_key(ctx.store),
            _line(ctx, hospital),
        )
    )


def may_hear(ctx: Context, answer: Write, member: int, places: Iterable[str], heard: Heard) -> bool:
    """answer: the Communication to be. places: whom it names and where they work; of itself the hospital knows."""
    keys, bits = ctx.store.keys, answer.labels
    for place in set(places) - set(heard.line[:1]):
        for kind in label_rules.KINDS:
            bits |= heard.labels.get(label_rules.key_of(keys, kind, place), 0)
    names = frozenset(keys.resource(one) for one in heard.line)
    asker = Asker(Relation.PANEL, names, purposes_of("TREAT"), ctx.now_us)
    about = Facts(keys.resource(answer.reference), "Communication", member, bits, ctx.organization_key)
    return isinstance(decide(asker, about, heard.rules), Permit)


async def _line(ctx: Context, organization: str) -> list[str]:
    """The organization and those that it is part of."""
    line: list[str] = []
    while organization and organization not in line and len(line) <= MOST_ABOVE:
        line.append(organization)
        held = await ctx.resource(organization)
        organization = reference_of(held[0], "partOf") if held else ""
    return line
