"""Everything about one made-up member, in the order in which references resolve."""

from collections.abc import Callable, Iterator

from service.cli.seed import albert, care_plans, consents, felix, intake, outreach, referrals, sonja, susan
from service.cli.seed.enrolled import enrolled
from service.cli.seed.parts import Days, Entry
from service.cli.seed.people import Member, member
from service.cli.seed.story_people import ALBERT, FELIX, SONJA, SUSAN

STORIES: dict[int, Callable[[Member, Days], Iterator[Entry]]] = {
    SONJA: sonja.story,
    FELIX: felix.story,
    SUSAN: susan.story,
    ALBERT: albert.story,
}


def entries(seed: int, number: int, days: Days) -> list[Entry]:
    """Everything about one member, each resource after those that it refers to (the directory aside)."""
    return list(STORIES.get(number, _life)(member(seed, number, days), days))


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
