"""How members come to ECM: a clinic refers, the plan decides. facts/california.md C rows 5 and 6."""

from collections.abc import Iterator

from service.cli.seed.directory import PHYSICIANS, Cbo, Person
from service.cli.seed.parts import Days, Entry, ref
from service.cli.seed.people import Member
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral_entries

_STATUS = {"referred": "requested", "authorized-not-outreached": "completed"}


def entries(who: Member, days: Days) -> Iterator[Entry]:
    """The referral of a member who is not yet in ECM: waiting for the plan, or authorized."""
    status = _STATUS.get(who.row.ecm_status)
    if status:
        yield from ecm_referral(who, days, status, ago=16, closed=9)


def ecm_referral(
    who: Member,
    days: Days,
    status: str,
    *,
    ago: int,
    closed: int,
    by: Person | None = None,
    words: str = "The member agreed to be referred to Enhanced Care Management.",
) -> Iterator[Entry]:
    """To the plan, from the member's doctor or another; authorized: the output is the EpisodeOfCare."""
    plan = who.plan
    target = Cbo(
        *(plan.slug, plan.name, plan.number, plan.street, plan.town),
        service="Enhanced Care Management",
        sdoh="sdoh-category-unspecified",
    )
    episode = ref(f"EpisodeOfCare/{who.id('episode')}") if status == "completed" else None
    yield from referral_entries(
        who,
        days,
        Referral(
            *("ecm-referral", target, status, ago, "routine", closed),
            words=words,
            by=by or PHYSICIANS[who.number % 2],
            output=episode,
            pof=who.row.pofs[0],
        ),
    )
