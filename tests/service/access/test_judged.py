"""The second wall piece by piece: what is asked of the store, what facts of others change, when the alarm is raised."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from service.access import tripwire
from service.access.consent.rules import Permit, Relation
from service.access.tripwire import Moved, asked_of, check_found, counts, judged, verdict_of
from service.caller import Role
from service.errors import Category, FhirError
from service.search.clearance import GENERAL, DataKind, Rule
from service.search.restriction import Restriction, See
from service.store.raw_facts import PanelFact, RawFacts
from service.store.read import Found

NOW, ORG, PERSON, ABOVE, TEAM = 1_000, 7, 8, 9, 70
TYPES = {"Condition": See.PANEL, "Task": See.PANEL, "Patient": See.VIEW, "Location": See.OPEN, "Group": See.OWN}
SEEN = Restriction((PERSON,), (ORG,), TYPES, NOW, actors=(PERSON, ORG, ABOVE))
SYSTEM = replace(SEEN, subjects=(ORG,))
ONE = Found(1, "Condition", "a", 1, 50, False, b"{}", 5, 0, 30)
ROW = PanelFact(5, ORG, TEAM, NOW, NOW + 1, "care-team", "care-team")
DENY = Rule(5, 100, 0, 0, 0, "", GENERAL, "", 0, 0, 1, NOW, NOW + 1)
OPENS = replace(DENY, labels=1, grade=0)
OTHERS = replace(DENY, patient=6)
DAY_US = 86_400_000_000


def facts(*rules: Rule, panel: tuple[PanelFact, ...] = (ROW,), **more: Any) -> RawFacts:
    return replace(RawFacts(list(panel), list(rules), set(), set(), set(), set()), **more)


def test_what_is_asked_of_the_store() -> None:
    several = [
        ONE,
        replace(ONE, key=2, rtype="Task", patient=6),
        replace(ONE, key=3, rtype="Patient", patient=None),
    ]
    asked = asked_of(several, SEEN)
    assert asked.patients == {5, 6} and asked.resources == {1, 2, 3} and asked.parties == {2, 3}
    assert asked_of(several, Restriction((1,), (2,), TYPES, actors=(3,))).names == {1, 2, 3}


def test_a_consent_of_the_patient_counts_without_labels_too() -> None:
    for rules, wanted in (((), True), ((DENY,), False), ((OTHERS,), True), ((OTHERS, DENY), False)):
        assert judged(ONE, facts(*rules), SYSTEM) is wanted
        assert judged(ONE, facts(*reversed(rules)), SYSTEM) is wanted
    assert judged(replace(ONE, labels=1), facts(OPENS), SYSTEM)
    assert not judged(replace(ONE, labels=1), facts(OTHERS), SYSTEM)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (ROW, True),
        (ROW._replace(patient=6), False),
        (ROW._replace(subject=20), False),
        (ROW._replace(basis="episode"), False),
        (ROW._replace(source=71), False),
    ],
)
def test_a_team_is_the_patients_and_has_the_caller_in_it(row: PanelFact, wanted: bool) -> None:
    one, rule = replace(ONE, labels=1), replace(OPENS, actor=TEAM)
    assert isinstance(verdict_of(one, Relation.PANEL, facts(rule, panel=(row,)), SYSTEM), Permit) is wanted


@pytest.mark.parametrize(("kind", "name"), [(DataKind.RELATED, "refers"), (DataKind.DEPENDENTS, "referred")])
def test_references_are_those_of_the_resource(kind: DataKind, name: str) -> None:
    one, rule = replace(ONE, labels=1), replace(OPENS, data_kind=int(kind), data=3)
    for pairs, wanted in (({(3, 1)}, True), ({(3, 2)}, False), ({(4, 1)}, False), (set(), False)):
        found = verdict_of(one, Relation.PANEL, facts(rule, **{name: pairs}), SYSTEM)
        assert isinstance(found, Permit) is wanted


def test_a_row_counts_by_itself() -> None:
    """An emergency access beside it does not make an assignment of the person count."""
    mine = ROW._replace(subject=PERSON)
    glass = mine._replace(basis="break-glass", source=9)
    both = facts(panel=(mine, glass))
    assert not counts(mine, both, SEEN) and counts(glass, both, SEEN)


async def checked(monkeypatch: pytest.MonkeyPatch, found: list[Found], seen: Restriction, told: RawFacts | None = None,
                  **more: Any) -> list[set[int]]:  # fmt: skip
    """The keys for which the store was asked, each time."""
    asked: list[set[int]] = []

    async def raw(_store: Any, what: Any) -> RawFacts:
        asked.append(set(what.resources))
        return told or facts()

    monkeypatch.setattr(tripwire, "raw_facts", raw)
    caller = SimpleNamespace(role=more.get("role", Role.MCP), client_id="c")
    settings = SimpleNamespace(ecm_grace_days=more.get("days", 0))
    context: Any = SimpleNamespace(
        seen=seen, store=None, caller=caller, settings=settings, again=more.get("again", False)
    )
    await check_found(context, found)
    return asked


async def test_what_needs_no_look_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    own, place = replace(ONE, source_org=ORG), replace(ONE, rtype="Location")
    assert await checked(monkeypatch, [], SYSTEM) == []
    assert await checked(monkeypatch, [own, place], SYSTEM) == []
    assert await checked(monkeypatch, [own, replace(ONE, key=2)], SYSTEM) == [{2}]
    assert await checked(monkeypatch, [ONE], replace(SYSTEM, unrestricted=True)) == []
    unheard = replace(own, rtype="Observation")
    with pytest.raises(Moved):
        await checked(monkeypatch, [unheard], SYSTEM)


async def test_the_alarm_comes_where_it_was_decided_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = [ONE, replace(ONE, key=2, rtype="Task", patient=6)]
    with pytest.raises(Moved):
        await checked(monkeypatch, two, SYSTEM)
    with pytest.raises(FhirError) as caught:
        await checked(monkeypatch, two, SYSTEM, again=True)
    assert caught.value.category is Category.INTERNAL and caught.value.reason == "tripwire"
    written = "".join(capsys.readouterr())
    for part in ('"type":"Task"', '"role":"mcp"', '"resources":1', '"client":"c"'):
        assert part in written.replace(": ", ":"), written


@pytest.mark.parametrize("role", [Role.ECM_PROVIDER, Role.LCM, Role.MCP])
async def test_the_grace_is_of_ecm_providers_and_in_days(monkeypatch: pytest.MonkeyPatch, role: Role) -> None:
    for days, ended, graced in ((2, 2 * DAY_US - 1, True), (2, 2 * DAY_US, False), (0, 0, False)):
        told = facts(panel=(ROW._replace(start_us=-9 * DAY_US, end_us=NOW - ended),))
        if graced and role is not Role.MCP:
            assert await checked(monkeypatch, [ONE], SYSTEM, told, role=role, days=days) == [{1}]
        else:
            with pytest.raises(Moved):
                await checked(monkeypatch, [ONE], SYSTEM, told, role=role, days=days)
