"""The tables of the law of referrals, as pages print them, are those of the code: referral_law.py."""

from collections.abc import Iterator

from service.workflow.referral_law import TRANSITIONS
from tests.docs.pages import DOCS

PARTIES = {"requester": {"requester"}, "owner": {"target"}, "requester or owner": {"requester", "target"}}


def _rows(page: str, head: str) -> Iterator[list[str]]:
    """Cells of the table that begins with this line."""
    lines = (DOCS / page).read_text().splitlines()
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_referrals_prints_the_law() -> None:
    statuses = {row.old for row in TRANSITIONS}
    printed = {
        (old, new, frozenset(PARTIES[who]), needs)
        for olds, news, who, needs in _rows("referrals.md", "| from | to | by | needs |")
        if olds != "(new)"
        for old in (sorted(statuses) if olds == "any" else olds.split(", "))
        for new in news.split(", ")
    }
    assert printed == {(row.old, row.new, row.who, ", ".join(row.needs)) for row in TRANSITIONS}


def test_a_community_organization_is_told_all_its_steps() -> None:
    own = {(row.old, row.new): row.needs for row in TRANSITIONS if "target" in row.who}
    printed = {
        (old.strip("`"), new.strip("`")): needs
        for old, news, needs in _rows("cbo-developer.md", "| from | you set | needs |")
        for new in news.split(", ")
    }
    assert set(printed) == set(own)
    for step, needs in own.items():
        assert all(need in printed[step] for need in needs), step
