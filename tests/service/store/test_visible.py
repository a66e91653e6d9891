"""Who sees what over which panel row, edge and author: as SQL, as the tripwire judges it, and as it is written here."""

from dataclasses import replace
from typing import Any

import pytest

from service.access.consent.rules import Relation
from service.access.tripwire import asked_of, counts, judged, relation_of
from service.search.criteria import HasEdge
from service.search.keys import edge
from service.search.restriction import EVERYTHING, Reach, Restriction, See
from service.store.change import Change, Statement
from service.store.columns import COLUMNS
from service.store.dialect import marks
from service.store.engine import Store
from service.store.raw_facts import PanelFact, RawFacts, raw_facts
from service.store.read import Found
from service.store.visible import either, join, labels_cleared, visible, visible_any
from service.store.visible_scope import scoped

NOW, ORG, PERSON, ABOVE, OTHER, AUTHOR, PATIENT, KEY, VID = 1_000, 7, 8, 9, 20, 30, 5, 1, 50
FENCE = " LIMIT 1 OFFSET 0"
CARE = {"Condition": See.PANEL, "Task": See.PANEL, "ServiceRequest": See.PANEL, "Communication": See.PANEL}
CARE |= {"Group": See.OWN, "Location": See.OPEN, "Patient": See.VIEW}
SYSTEM = Restriction((ORG,), (ORG,), CARE, NOW, actors=(ORG,), views=True)
MANAGER = replace(SYSTEM, subjects=(PERSON,), actors=(PERSON, ORG, ABOVE))
BOTH = replace(MANAGER, subjects=(ORG, PERSON))
GRACED = replace(SYSTEM, grace_us=10)
PARTY = replace(SYSTEM, types=dict.fromkeys(("Task", "ServiceRequest", "Communication", "Condition"), See.PARTY))
Rows = list[dict[str, Any]]
Edges = list[tuple[int, int, int]]
Case = tuple[Restriction, str, Rows, Edges, bool]
OWNER, ASKER = edge("Task", "owner"), edge("Task", "requester")
FOCUS, PERFORMER = edge("Task", "focus"), edge("ServiceRequest", "performer")
TASK = {"basis": "task", "role": "task-owner"}
HELD: dict[str, Any] = {}
"""A row of the caller's, as `row` makes it."""


def row(subject: int = ORG, patient: int = PATIENT, source: int = 70, basis: str = "care-team",
        role: str = "care-team", start_us: int = NOW, end_us: int = NOW + 1) -> tuple[Any, ...]:  # fmt: skip
    return subject, patient, source, basis, role, start_us, end_us


def of(*subjects: int, **more: Any) -> Rows:
    return [{"subject": one, "source": 70 + number, **more} for number, one in enumerate(subjects)]


ASSIGNED: list[tuple[Restriction, Rows, bool]] = [
    (SYSTEM, [], False),
    (SYSTEM, [HELD], True),
    *((SYSTEM, [{"subject": one}], one == ORG) for one in (ORG, OTHER, 0)),
    *((SYSTEM, [{"patient": one}], one == PATIENT) for one in (PATIENT, 6)),
    *((SYSTEM, [{"basis": one}], one != "task") for one in ("coverage", "episode", "care-team", "break-glass", "task")),
    *((SYSTEM, [{"role": one}], one != "self") for one in ("care-team", "self")),
    *((SYSTEM, [{"start_us": one}], one <= NOW) for one in (NOW - 1, NOW, NOW + 1)),
    *((SYSTEM, [{"end_us": one}], one > NOW) for one in (NOW - 1, NOW, NOW + 1)),
    # The grace is of assignments alone, and ends too.
    *((GRACED, [{"end_us": NOW - 9, "basis": one}], True) for one in ("care-team", "episode")),
    *((GRACED, [{"end_us": NOW - 9, "basis": one}], False) for one in ("coverage", "break-glass", "task")),
    *((GRACED, [{"end_us": NOW - one}], one < 10) for one in (0, 9, 10)),
    (GRACED, [{"basis": "coverage"}], True),
    (GRACED, [{"start_us": NOW + 1, "end_us": NOW + 9}], False),
    # A person's row counts beside one of the organization, or of one that it is part of.
    *((MANAGER, of(PERSON, other), other in (ORG, ABOVE)) for other in (ORG, ABOVE, OTHER)),
    *((MANAGER, of(one), False) for one in (ORG, ABOVE, PERSON)),
    *((MANAGER, [*of(PERSON), {**more, "source": 9}], False) for more in (
        {"end_us": NOW}, {"start_us": NOW + 1}, {"patient": 6}, {"role": "self"}, TASK)),
    (MANAGER, of(PERSON, basis="break-glass"), True),
    (BOTH, of(PERSON, basis="break-glass"), True),
    (MANAGER, of(PERSON, basis="break-glass", end_us=NOW), False),
    (replace(MANAGER, actors=(PERSON,)), of(PERSON, ORG), True),
    (replace(SYSTEM, views=False), [HELD], True),
    (MANAGER, [*of(PERSON), {"subject": OTHER, "source": 9, "basis": "break-glass"}], False),
    (replace(MANAGER, grace_us=10), of(PERSON, ORG, end_us=NOW - 9), True),
    (replace(MANAGER, grace_us=10), of(PERSON, ORG, end_us=NOW - 10), False),
    *((BOTH, of(one), one == ORG) for one in (ORG, PERSON, ABOVE)),
    *((BOTH, of(PERSON, other), other in (ORG, ABOVE)) for other in (ORG, ABOVE, OTHER)),
    *((replace(MANAGER, own=(), actors=(PERSON,)), of(PERSON, one), False) for one in (1, ORG)),
    *((replace(SYSTEM, subjects=(), own=()), of(one), False) for one in (1, ORG)),
]  # fmt: skip
NAMED: list[tuple[str, Edges, bool]] = [
    ("Task", [], False),
    *((rtype, [(edge(rtype, code), ORG, VID)], True) for rtype, code in (
        ("Task", "owner"), ("Task", "requester"), ("Task", "@candidate"), ("ServiceRequest", "requester"),
        ("ServiceRequest", "performer"),
        ("Communication", "sender"), ("Communication", "recipient"))),
    *(("Task", [(param, ORG, VID)], False) for param in (PERFORMER, FOCUS, 3)),
    *(("Task", [(OWNER, target, VID)], False) for target in (OTHER, 0, PATIENT)),
    ("Task", [(OWNER, ORG, VID + 1)], False),
    *((rtype, [(FOCUS, KEY, 60), (OWNER, ORG, 60)], rtype == "ServiceRequest") for rtype in (
        "Task", "ServiceRequest", "Communication")),
    ("ServiceRequest", [(FOCUS, KEY, 60), (ASKER, ORG, 60)], True),
    ("ServiceRequest", [(FOCUS, KEY, 60), (PERFORMER, ORG, 60)], False),
    ("ServiceRequest", [(FOCUS, KEY, 60), (OWNER, OTHER, 60)], False),
    ("ServiceRequest", [(FOCUS, KEY + 1, 60), (OWNER, ORG, 60)], False),
    ("ServiceRequest", [(FOCUS, KEY, 60), (OWNER, ORG, 61)], False),
    ("ServiceRequest", [(OWNER, KEY, 60), (OWNER, ORG, 60)], False),
    ("Condition", [(OWNER, ORG, VID)], False),
]  # fmt: skip


def cases() -> list[Case]:
    """Restriction, type, panel rows, edges, whether it is seen."""
    found: list[Case] = [(seen, "Condition", rows, [], wanted) for seen, rows, wanted in ASSIGNED]
    # Whom a Task names has it while any row stands: without grace, and for a person beside the organization's.
    found += [(replace(SYSTEM, types=PARTY.types), rtype, [HELD], edges, wanted) for rtype, edges, wanted in NAMED]
    found += [(SYSTEM, rtype, [TASK], edges, wanted) for rtype, edges, wanted in NAMED]
    party, through = [(OWNER, ORG, VID)], [(OWNER, PERSON, VID)]
    rows: list[tuple[Rows, bool]] = [([], False), ([TASK], True), ([HELD], True), ([{**TASK, "patient": 6}], False)]
    rows += [([{**TASK, "end_us": NOW}], False), ([{**TASK, "role": "self"}], False), (of(OTHER, **TASK), False)]
    found += [(PARTY, "Task", one, party, wanted) for one, wanted in rows]
    found += [(replace(PARTY, grace_us=10), "Task", [{"end_us": NOW - 9}], party, False)]
    found += [(PARTY, "Task", [{"end_us": NOW}], party, False)]
    found += [(replace(SYSTEM, types={"Task": See.OWN}), "Task", [HELD], party, False)]
    found += [(SYSTEM, "Patient", [TASK | {"basis": "care-team", "end_us": NOW}], [], False)]
    person = replace(MANAGER, types=PARTY.types)
    for edges, ours in ((through, True), (party, False)):
        found += [(person, "Task", of(PERSON, one, **TASK), edges, ours and one == ORG) for one in (ORG, OTHER)]
    roles = ("task-owner", "task-requester", "task-candidate", "care-team")
    viewed: list[tuple[dict[str, object], bool]] = [({"role": one}, one == "task-owner") for one in roles]
    viewed += [({"end_us": NOW}, False), ({"subject": OTHER}, False), ({"patient": 6}, False)]
    found += [(SYSTEM, "Patient", [TASK | changed], [], wanted) for changed, wanted in viewed]
    found += [(GRACED, "Patient", [TASK | {"basis": "care-team", "end_us": NOW - 9}], [], False)]
    found += [(replace(SYSTEM, types={"Task": See.VIEW}), "Task", [HELD], [(OWNER, ORG, VID)], False)]
    found += [(SYSTEM, rtype, [HELD], [], wanted) for rtype, wanted in (
        ("Group", False), ("Location", True), ("Observation", False))]  # fmt: skip
    found += [(EVERYTHING, "Condition", [], [], True), (Restriction(), "Condition", [HELD], [], False)]
    return found


def inserted(table: str, values: tuple[Any, ...]) -> Statement:
    return Statement(f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({marks(len(values))})", values)


async def laid_out(
    store: Store, rtype: str, rows: Rows, edges: Edges, *, author: int = AUTHOR, patient: int | None = PATIENT,
    labels: int = 0,
) -> Found:  # fmt: skip
    change = Change(statements=[Statement(f"DELETE FROM {one}", ()) for one in ("resource", "version", "ref", "panel")])
    change.statements.append(inserted("resource", (KEY, rtype, "a", VID, 1, 0, patient, labels, author)))
    body = (VID, KEY, rtype, "a", 1, 1, patient, labels, author, None, b"{}")
    change.statements.append(inserted("version", body))
    change.statements += [inserted("panel", row(**one)) for one in rows]
    change.statements += [inserted("ref", one) for one in dict.fromkeys(edges)]
    await store.commit(change)
    return Found(KEY, rtype, "a", 1, VID, False, b"{}", patient, labels, author)


async def shown(store: Store, condition: str, params: list[Any], alias: str = "r") -> bool:
    table = "resource" if alias == "r" else "version"
    sql = f"SELECT {alias}.key FROM {table} {alias} WHERE {alias}.key = ? AND {condition or '1 = 1'}"
    return bool(await store.fetch(sql, (KEY, *params)))


async def facts_of(store: Store, one: Found, seen: Restriction) -> RawFacts:
    return await raw_facts(store, asked_of([one], seen))


async def test_each_row_and_edge_opens_what_it_should(store: Store) -> None:
    for seen, rtype, rows, edges, wanted in cases():
        one = await laid_out(store, rtype, rows, edges)
        why = (rtype, rows, edges, seen)
        for condition, params in (
            visible("r", rtype, seen),
            visible("r", rtype, seen, fence=FENCE),
            visible("r", rtype, seen, vid="r.vid"),
            visible_any("r", [rtype, "Coverage"], seen, fence=FENCE),
        ):
            assert await shown(store, condition, params) is wanted, why
        facts = await facts_of(store, one, seen)
        assert judged(one, facts, seen, seen.grace_us) is wanted, why
        if rtype in seen.types and rtype not in ("Location", "Group"):
            relation = Relation.VIEW if rtype == "Patient" else Relation.PANEL
            assert relation_of(one, facts, seen, seen.grace_us) is (relation if wanted else Relation.NONE), why


@pytest.mark.parametrize("rtype", ["Condition", "Task", "Group", "Patient", "Observation"])
async def test_an_author_sees_what_it_wrote_where_its_role_sees_the_type(store: Store, rtype: str) -> None:
    wanted = rtype != "Observation"
    for author in (ORG, AUTHOR, 0, 1, PERSON):
        for seen in (SYSTEM, MANAGER, replace(SYSTEM, views=False)):
            one = await laid_out(store, rtype, [], [], author=author, labels=1)
            ours = wanted and author == ORG
            assert await shown(store, *visible("r", rtype, seen)) is ours
            facts = await facts_of(store, one, seen)
            assert judged(one, facts, seen) is ours
            assert (relation_of(one, facts, seen) is Relation.AUTHOR) is ours
        nobody = replace(SYSTEM, own=(), subjects=())
        assert not await shown(store, *visible("r", rtype, nobody)) or author == 0


async def test_labels_and_what_is_of_nobody_stand_against_a_panel_row(store: Store) -> None:
    for patient, labels, wanted in ((PATIENT, 0, True), (PATIENT, 1, False), (None, 0, False)):
        one = await laid_out(store, "Condition", [HELD], [], patient=patient, labels=labels)
        assert await shown(store, *visible("r", "Condition", SYSTEM)) is wanted
        assert judged(one, await facts_of(store, one, SYSTEM), SYSTEM) is wanted


async def test_labels_of_former_versions(store: Store) -> None:
    for author, labels, wanted in ((AUTHOR, 0, True), (AUTHOR, 1, False), (1, 1, False), (ORG, 1, True)):
        await laid_out(store, "Condition", [], [], author=author, labels=labels)
        assert await shown(store, *labels_cleared("v", SYSTEM), alias="v") is wanted
        nobody = replace(SYSTEM, own=())
        assert await shown(store, *labels_cleared("v", nobody), alias="v") is (labels == 0)
    assert labels_cleared("v", EVERYTHING) == ("", [])


async def test_a_view_is_shown_only_where_views_are_asked_for(store: Store) -> None:
    await laid_out(store, "Patient", [TASK], [])
    assert await shown(store, *visible("r", "Patient", SYSTEM))
    assert not await shown(store, *visible("r", "Patient", replace(SYSTEM, views=False)))


async def test_the_vid_may_stand_elsewhere(store: Store) -> None:
    """Edges are those of the vid that is named."""
    await laid_out(store, "Task", [HELD], [(OWNER, ORG, 60)])
    for vid, wanted in (("60", True), (str(VID), False), ("", False)):
        assert await shown(store, *visible("r", "Task", PARTY, vid=vid)) is wanted


async def test_types_under_different_rules_are_told_apart(store: Store) -> None:
    types = ("Condition", "Task", "Group", "Location", "Patient", "Observation")
    for rtype in types:
        await laid_out(store, rtype, [HELD], [])
        wanted = rtype in ("Condition", "Task", "Location")
        assert await shown(store, *visible_any("r", types, SYSTEM)) is wanted
        assert not await shown(store, *visible_any("r", [one for one in types if one != rtype], SYSTEM))
    assert not await shown(store, *visible_any("r", [], SYSTEM))


MINE = HasEdge((OWNER,), (ORG,))


async def test_scopes_narrow_what_the_relation_opens(store: Store) -> None:
    for rtype, rows, seen_at_all in (("Condition", [HELD], True), ("Condition", [], False), ("Location", [], True)):
        for edges, fits in (([(OWNER, ORG, VID)], True), ([], False)):
            await laid_out(store, rtype, rows, edges)
            for narrowed, reached in (({}, True), ({rtype: (Reach((MINE,)),)}, fits), ({rtype: ()}, False)):
                seen = replace(SYSTEM, narrowed=narrowed)
                assert await shown(store, *visible("r", rtype, seen)) is (seen_at_all and reached)
                everything = replace(EVERYTHING, narrowed=narrowed)
                assert await shown(store, *visible("r", rtype, everything)) is reached
    await laid_out(store, "Location", [], [(OWNER, ORG, 60)])
    seen = replace(SYSTEM, narrowed={"Location": (Reach((MINE,)),)})
    for vid, wanted in (("60", True), (str(VID), False), ("", False)):
        assert await shown(store, *visible("r", "Location", seen, vid=vid)) is wanted


def test_always_and_never_are_said_in_their_one_form() -> None:
    """Others ask for it: "" is no condition at all, and what is never seen is left out of a statement."""
    narrowed = {one: (Reach((MINE,)),) for one in ("Condition", "Location", "Observation")}
    for seen in (SYSTEM, replace(SYSTEM, narrowed=narrowed), replace(SYSTEM, narrowed={"Condition": ()})):
        assert visible("r", "Observation", seen) == ("1 = 0", [])
        assert visible_any("r", ["Observation"], seen) == ("1 = 0", [])
    assert visible("r", "Condition", replace(SYSTEM, narrowed={"Condition": ()})) == ("1 = 0", [])
    assert visible("r", "Location", SYSTEM) == visible("r", "Condition", EVERYTHING) == ("", [])
    only = replace(SYSTEM, narrowed=narrowed)
    assert visible("r", "Location", only) == scoped("r", "Location", only)
    assert join(("", [])) == join() == ("1 = 1", [])
    assert either([]) == ("1 = 0", [])
    assert FENCE in visible_any("r", ["Condition"], SYSTEM, fence=FENCE)[0]
    assert "1 = 0" in visible("r", "Condition", PARTY)[0]


def test_no_list_is_empty() -> None:
    """PostgreSQL knows no IN (); 0 is nobody's key."""
    for seen in (SYSTEM, MANAGER, BOTH, PARTY):
        for nobody in (seen, replace(seen, own=(), subjects=()), replace(seen, own=(), actors=(PERSON,))):
            for rtype in ("Condition", "Task", "ServiceRequest", "Patient", "Group"):
                condition, params = visible("r", rtype, nobody)
                assert "IN ()" not in condition and 1 not in params
            assert "IN ()" not in labels_cleared("v", nobody)[0] and 1 not in labels_cleared("v", nobody)[1]


def fact(**changed: Any) -> PanelFact:
    subject, patient, source, basis, role, start_us, end_us = row(**changed)
    return PanelFact(patient, subject, source, start_us, end_us, basis, role)


@pytest.mark.parametrize(("seen", "rows", "wanted"), ASSIGNED)
def test_which_rows_of_the_caller_count(seen: Restriction, rows: Rows, wanted: bool) -> None:
    """Of assignments the same as for a resource; without grace."""
    facts = RawFacts([fact(**one) for one in rows], [], set(), set(), set(), set())
    mine = [one for one in facts.panel if one.subject in seen.subjects and one.patient == PATIENT]
    counted = [counts(one, facts, replace(seen, grace_us=0)) for one in mine if one.basis != "task"]
    assert any(counted) is (wanted and all(one.end_us > NOW for one in mine))


def test_a_row_of_a_task_counts_beside_another_of_a_task() -> None:
    for other, wanted in ((TASK, True), (HELD, True)):
        facts = RawFacts([fact(subject=PERSON, **TASK), fact(**other)], [], set(), set(), set(), set())
        assert counts(facts.panel[0], facts, MANAGER) is wanted
    facts = RawFacts([fact(subject=PERSON), fact(**TASK)], [], set(), set(), set(), set())
    assert not counts(facts.panel[0], facts, MANAGER)
