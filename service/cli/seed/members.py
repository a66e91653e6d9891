"""One member -> Patient, Coverage, CareTeam, EpisodeOfCare as a plan file would make them, and what goes with them."""

from collections.abc import Iterator

from fhir_profiles import Resource
from mappers.plan_files.member_resources import to_resources
from service.cli.seed import care_plans, consents, outreach, referrals, sonja
from service.cli.seed.directory import Cbo
from service.cli.seed.parts import Days, Entry, own, ref
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
    yield from outreach.entries(who, days)
    if not who.engaged:
        return
    yield from care_plans.findings(who, days, [r.cbo for r in chosen])
    for chosen_one in chosen:
        yield from referrals.entries(who, days, chosen_one)
    yield from care_plans.plan(who, days, chosen)


def enrolled(who: Member, helpers: list[Cbo], others: tuple[Resource, ...] = ()) -> Iterator[Entry]:
    """The four resources of a plan's row. helpers: community organizations; others: more participants of the team."""
    patient, coverage, episode, team = to_resources(who.row, who.refs)
    if "careManager" in episode:
        episode["careManager"]["display"] = who.lcm.name
    for participant in team["participant"]:
        participant["member"]["display"] = who.lcm.name
    for cbo in dict.fromkeys(helpers):
        role = own("team-role", "cbo-staff")
        team["participant"].append({"role": [role], "member": ref(cbo.reference, cbo.name)})
    team["participant"] += others
    yield who.plan.reference, patient
    yield who.plan.reference, coverage
    yield who.ecm.reference, team
    yield who.plan.reference, episode
