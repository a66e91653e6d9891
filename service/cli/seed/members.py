"""Everything about one made-up member, in the order in which references resolve."""

from collections.abc import Iterator

from service.cli.seed import care_plans, consents, intake, outreach, referrals, sonja
from service.cli.seed.enrolled import enrolled
from service.cli.seed.parts import Days, Entry
from service.cli.seed.people import Member, member


def entries(seed: int, number: int, days: Days) -> list[Entry]:
    """Everything about one member, each resource after those that it refers to (the directory aside)."""
    who = member(seed, number, days)
    return list(sonja.story(who, days)) if number == 0 else list(_life(who, days))


def _life(who: Member, days: Days) -> Iterator[Entry]:
    chosen = referrals.choose(who)
    helpers = [r.cbo for r in chosen if r.status in ("accepted", "in-progress", "on-hold")]
    yield from enrolled(who, helpers)
    yield from consents.entries(who, days)
    yield from intake.entries(who, days)
    yield from outreach.entries(who, days)
    if not who.engaged:
        return
    yield from care_plans.findings(who, days, [r.cbo for r in chosen])
    for chosen_one in chosen:
        yield from referrals.entries(who, days, chosen_one)
    yield from care_plans.plan(who, days, chosen)
