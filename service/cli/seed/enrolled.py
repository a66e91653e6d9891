"""The four resources that a plan's row makes of a member, with the names and the helpers that a file does not hold."""

from collections.abc import Iterator

from fhir_profiles import Resource
from mappers.plan_files.member_resources import to_resources
from service.cli.seed.directory import Cbo
from service.cli.seed.parts import Entry, own, ref
from service.cli.seed.people import Member


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
