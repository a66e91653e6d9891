"""P9: what the SQL condition shows is what decide() permits, for random Consents, resources and callers."""

import os
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from service.access.consent.compile import compiled
from service.access.consent.decide import decide
from service.access.consent.provisions import Source
from service.access.consent.rules import GENERAL, SENSITIVE, Asker, Facts, Permit, Relation
from service.access.tripwire import asked_of, verdict_of
from service.search.clearance import EMERGENCY, LABEL_BITS, DataKind, Rule, Specificity, grade
from service.search.restriction import Restriction
from service.store import clearance
from service.store.change import Change, Statement
from service.store.columns import COLUMNS
from service.store.dialect import marks
from service.store.engine import Store
from service.store.raw_facts import raw_facts
from service.store.read import Found
from service.store.visible_consent import consented
from tests.service.access.consent.random_consents import (
    ORGANIZATIONS,
    PEOPLE,
    SENSITIVITIES,
    random_consent,
    random_purposes,
)
from tests.service.world import make, patient, put, ref, team

pytestmark = pytest.mark.timeout(1_800)
ROUNDS = 220 if os.environ.get("ENLACE_TEST_DEEP") else 4
CALLERS = 10
SMALL = ("SCAN 17 CONSTANT ROWS", "SCAN cb", "SCAN cg")
PATIENTS = ("Patient/a", "Patient/b")


@dataclass(frozen=True)
class World:
    facts: dict[int, Facts]
    teams: dict[int, dict[int, set[int]]]
    """Patient -> CareTeam -> members now."""


async def build(store: Store) -> World:
    """Some 25 resources of two patients that refer to each other, and two teams, one of them over."""
    rng = random.Random(5)
    await put(store, *(patient(one) for one in PATIENTS), source=ORGANIZATIONS[0])
    members = (("CareTeam/one", (ORGANIZATIONS[1], PEOPLE[1]), {}), ("CareTeam/two", PEOPLE, {"end": "2025"}))
    for member in PATIENTS:
        letter = member[-1]
        for reference, names, period in members:
            await put(store, team(f"{reference}{letter}", member, *names, period=period))
        for number in range(3):
            about: dict[str, Any] = {"subject": ref(member), "meta": {"security": security(rng)}}
            condition = make(f"Condition/{letter}{number}", code={"text": "c"}, **about)
            observation = make(
                f"Observation/{letter}{number}",
                status="final",
                code={"text": "o"},
                focus=[ref(f"Condition/{letter}{rng.randrange(number + 1)}")],
                **{**about, "meta": {"security": security(rng)}},
            )
            procedure = make(f"Procedure/{letter}{number}", status="completed", subject=ref(member))
            for one in (condition, observation, procedure):
                await put(store, one, source=rng.choice(ORGANIZATIONS))
    return await read_world(store, members)


def security(rng: random.Random) -> list[dict[str, str]]:
    if rng.random() < 0.3:
        return []
    codes = rng.sample((*SENSITIVITIES, "NEW"), rng.randint(1, 2))
    return [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code} for code in codes]


async def read_world(store: Store, members: Any) -> World:
    columns = "key, rtype, patient, labels, source_org, vid"
    rows = await store.fetch(f"SELECT {columns} FROM resource WHERE patient IS NOT NULL", ())
    edges = await store.fetch("SELECT vid, target FROM ref", ())
    key_of = {row[5]: row[0] for row in rows}
    facts = {
        row[0]: Facts(
            *row[:5],
            frozenset(target for vid, target in edges if vid == row[5]),
            frozenset(key_of[vid] for vid, target in edges if target == row[0] and vid in key_of),
        )
        for row in rows
    }
    key = store.keys.resource
    teams = {
        key(member): {
            key(f"{reference}{member[-1]}"): {key(name) for name in names} if not period else set()
            for reference, names, period in members
        }
        for member in PATIENTS
    }
    return World(facts, teams)


def local(consent: Any, letter: str) -> Any:
    """The Consent about this patient's own resources and teams."""
    if isinstance(consent, dict):
        return {name: local(value, letter) for name, value in consent.items()}
    if isinstance(consent, list):
        return [local(one, letter) for one in consent]
    if isinstance(consent, str) and consent.startswith(("Condition/", "Observation/", "Procedure/")):
        return consent.replace("/", f"/{letter}")
    return consent + letter if isinstance(consent, str) and consent.startswith("CareTeam/") else consent


async def new_rules(store: Store, rng: random.Random) -> list[Any]:
    change, rules = Change(statements=[Statement("DELETE FROM clearance", ())]), []
    for member in PATIENTS:
        for number in range(rng.randint(0, 3)):
            body = local(random_consent(rng, number, member, unknown=0.03), member[-1])
            made = compiled(body, Source(store.keys)).rules
            rules += made
            change.statements += clearance.replaced(store.keys.resource(f"Consent/{body['id']}"), made)
        if rng.random() < 0.3:
            glass = emergency(store, rng, member)
            rules.append(glass)
            change.statements += clearance.replaced(glass.consent, [glass])
    await store.commit(change)
    return rules


def emergency(store: Store, rng: random.Random, member: str) -> Rule:
    """As service/store/break_glass.py writes it: for one actor, above every Consent."""
    key, actor = store.keys.resource, rng.choice((*PEOPLE, *ORGANIZATIONS))
    labels = rng.choice((SENSITIVE, SENSITIVE | GENERAL, 1))
    now_us = store.clock.now_us()
    return Rule(
        key(member), key(f"BreakGlass/{member}"), 0, key(actor), 0, "", labels, "", 0, 0, EMERGENCY, 0, now_us + 1
    )


def some_restriction(store: Store, rng: random.Random) -> Restriction:
    names = [*rng.sample(ORGANIZATIONS, rng.randint(1, 2)), *rng.sample(PEOPLE, rng.randint(0, 1))]
    actors = tuple(store.keys.resource(name) for name in names)
    now_us = store.clock.now_us()
    return Restriction(subjects=actors, actors=actors, purposes=random_purposes(rng), now_us=now_us)


def permitted(facts: Facts, world: World, restriction: Restriction, rules: Any) -> bool:
    patient_key = facts.patient or 0
    teams = {name for name, members in world.teams.get(patient_key, {}).items() if members & set(restriction.actors)}
    asker = Asker(
        Relation.PANEL,
        frozenset({*restriction.actors, *teams}),
        restriction.purposes,
        restriction.now_us,
    )
    return isinstance(decide(asker, facts, rules), Permit)


async def test_p9_sql_shows_what_decide_permits(store: Store) -> None:
    world = await build(store)
    pairs = shown = 0
    for number in range(ROUNDS):
        rng = random.Random(number)
        rules = await new_rules(store, rng)
        assert await clearance.rules_of(store, store.keys.resource(PATIENTS[0])) == sorted(
            (rule for rule in rules if rule.patient == store.keys.resource(PATIENTS[0])),
            key=lambda rule: (rule.consent, rule.number),
        )
        for _ in range(CALLERS):
            restriction = some_restriction(store, rng)
            wanted = {key for key, facts in world.facts.items() if permitted(facts, world, restriction, rules)}
            for table, alias in (("resource", "r"), ("version", "v")):
                condition, params = consented(alias, restriction)
                sql = f"SELECT {alias}.key FROM {table} {alias} WHERE {alias}.patient IS NOT NULL AND {condition}"
                found = {row[0] for row in await store.fetch(sql, params)}
                assert found == wanted, (number, restriction)
            pairs, shown = pairs + 2 * len(world.facts), shown + len(wanted)
    assert pairs >= 480 * ROUNDS
    assert 0.2 < 2 * shown / pairs < 0.8, "most of it says nothing"


async def test_a_bit_that_is_no_label_is_never_shown(store: Store) -> None:
    await put(store, patient(PATIENTS[0]), source=ORGANIZATIONS[0])
    everything = Statement(
        "INSERT INTO clearance VALUES (?, 1, 0, 0, 0, '', ?, '', 0, 0, 0, 0, ?)",
        (store.keys.resource(PATIENTS[0]), 2**62 - 1, 2**62),
    )
    await store.commit(Change(statements=[everything]))
    condition, params = consented("r", Restriction(now_us=1))
    sql = f"SELECT count(*) FROM resource r WHERE {condition}"
    for labels, count in ((0, 1), (SENSITIVE, 1), (1 << LABEL_BITS, 0), (GENERAL, 0), (GENERAL << 1, 0), (-1, 0)):
        await store.commit(Change(statements=[Statement("UPDATE resource SET labels = ?", (labels,))]))
        assert (await store.fetch(sql, params))[0][0] == count, labels


async def test_the_condition_is_answered_by_the_rows_of_the_patient(store: Store) -> None:
    """One step into the index by patient; no table is read whole."""
    if store.db.name != "sqlite":
        return
    condition, params = consented("r", Restriction(actors=(1,), purposes=("TREAT",), now_us=1))
    rows = await store.fetch(f"EXPLAIN QUERY PLAN SELECT r.key FROM resource r WHERE r.key = 1 AND {condition}", params)
    steps = [str(row[3]) for row in rows]
    assert sum("SEARCH cd USING PRIMARY KEY (patient=?)" in step for step in steps) == 1, steps
    assert sum("SEARCH cl USING PRIMARY KEY (patient=?)" in step for step in steps) == 1, steps
    assert not [step for step in steps if step.startswith("SCAN ") and step not in SMALL], steps


# --- one rule at a time, against decide() and against what is written here --------------------------------------------

NOW, ORG, TEAM, KEY, REFERRED, REFERRING = 1_000, 7, 70, 1, 2, 3
FIRST, SECOND = 1, 2
FITTING = Rule(5, 100, 0, 0, 0, "", FIRST, "", 0, 0, grade(0, Specificity.DATA, denies=False), NOW, NOW + 1)
DENIES = replace(FITTING, number=1, grade=FITTING.grade + 1)
ALL = replace(FITTING, labels=GENERAL)
OTHER = replace(FITTING, consent=200)
MEMBER = (ORG, 5, TEAM, "care-team", "care-team", NOW, NOW + 1)
"""Columns of panel: the team that the caller is in."""
Cases = list[tuple[int, list[Rule], tuple[Any, ...], bool]]


def deny(rule: Rule, **changed: Any) -> Rule:
    return replace(rule, grade=rule.grade + 1, **changed)


def one_by_one() -> Cases:
    """Labels of the resource, rules, the panel row, whether it is permitted."""
    single: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        *(({"patient": one}, one == 5) for one in (5, 6)),
        *(({"start_us": one}, one <= NOW) for one in (NOW - 1, NOW, NOW + 1)),
        *(({"end_us": one}, one > NOW) for one in (NOW - 1, NOW, NOW + 1)),
        *(({"actor": one}, one in (0, ORG, TEAM)) for one in (0, ORG, TEAM, 8)),
        *(({"also": one}, one in (0, ORG)) for one in (0, ORG, 8)),
        *(({"actor": 8, "also": ORG}, False), ({"actor": ORG, "also": 8}, False), ({"actor": ORG, "also": ORG}, True)),
        *(({"purpose": one}, one != "HPAYMT") for one in ("", "TREAT", "HPAYMT")),
        *(({"rtype": one}, one != "Task") for one in ("", "Condition", "Task")),
        *(({"data_kind": DataKind.ANY, "data": one}, True) for one in (0, 8)),
        *(({"data_kind": DataKind.INSTANCE, "data": one}, one == KEY) for one in (KEY, REFERRED, REFERRING, 9)),
        *(({"data_kind": DataKind.RELATED, "data": one}, one in (KEY, REFERRING)) for one in (KEY, 2, REFERRING, 9)),
        *(({"data_kind": DataKind.DEPENDENTS, "data": one}, one in (KEY, REFERRED)) for one in (KEY, REFERRED, 3, 9)),
        *(({"data_kind": DataKind.AUTHORED_BY, "data": one}, one == 9) for one in (KEY, REFERRED, REFERRING, 9)),
    ]
    cases: Cases = [(FIRST, [replace(FITTING, **changed)], MEMBER, wanted) for changed, wanted in single]
    # What does not fit does not deny either.
    cases += [(0, [deny(ALL, **changed)], MEMBER, not wanted) for changed, wanted in single]
    columns = [
        *((0, one, one == ORG) for one in (ORG, 8)),
        *((1, one, one == 5) for one in (5, 6)),
        *((2, one, one == TEAM) for one in (TEAM, 71)),
        *((3, one, one == "care-team") for one in ("care-team", "episode")),
        *((5, one, one <= NOW) for one in (NOW - 1, NOW, NOW + 1)),
        *((6, one, one > NOW) for one in (NOW, NOW + 1)),
    ]
    for column, value, wanted in columns:
        row = (*MEMBER[:column], value, *MEMBER[column + 1 :])
        cases.append((FIRST, [replace(FITTING, actor=TEAM)], row, wanted))
    return cases


def several() -> Cases:
    deep = replace(FITTING, number=2, grade=grade(1, Specificity.DATA, denies=False))
    named = grade(0, Specificity.RECIPIENT, denies=False)
    glass = replace(OTHER, grade=EMERGENCY, labels=FIRST | GENERAL)
    sets: list[tuple[int, list[Rule], bool]] = [
        *((labels, [], labels == 0) for labels in (0, FIRST, SECOND)),
        *((0, [one], True) for one in (FITTING, DENIES, ALL, replace(ALL, labels=GENERAL | SECOND))),
        *((labels, [deny(ALL)], False) for labels in (0, FIRST)),
        (FIRST, [FITTING, deny(ALL, number=1)], False),
        (FIRST | SECOND, [FITTING], False),
        (FIRST | SECOND, [FITTING, replace(FITTING, number=1, labels=SECOND)], True),
        (FIRST | SECOND, [replace(FITTING, labels=FIRST | SECOND)], True),
        (FIRST | SECOND, [replace(FITTING, labels=FIRST | SECOND), deny(OTHER, labels=SECOND)], False),
        (FIRST, [FITTING, DENIES], False),
        (FIRST, [DENIES, deep], True),
        (FIRST, [DENIES, deep, deny(OTHER)], False),
        (FIRST, [deep, deny(OTHER)], False),
        (FIRST, [deny(OTHER), replace(FITTING, grade=named)], True),
        (FIRST, [replace(OTHER, grade=named + 1), FITTING], False),
        *((labels, [deny(replace(ALL, labels=GENERAL | FIRST)), glass], True) for labels in (0, FIRST)),
        (FIRST, [replace(FITTING, grade=grade(3, Specificity.UNREADABLE, denies=True)), OTHER], False),
    ]
    return [(labels, rules, MEMBER, wanted) for labels, rules, wanted in sets]


async def laid_out(store: Store) -> None:
    """One resource of patient 5, what it refers to, what refers to it, and an edge beside them."""
    rows: list[tuple[str, tuple[Any, ...]]] = [
        ("resource", (KEY, "Condition", "a", 50, 1, 0, 5, 0, 9)),
        ("resource", (REFERRED, "Condition", "b", 51, 1, 0, 6, 0, 9)),
        ("resource", (REFERRING, "Condition", "c", 52, 1, 0, 6, 0, 9)),
        *(("ref", (1, target, vid)) for target, vid in ((REFERRED, 50), (KEY, 52), (9, 51))),
    ]
    for table, values in rows:
        await store.commit(Change(statements=[inserted(table, values)]))


def inserted(table: str, values: tuple[Any, ...]) -> Statement:
    return Statement(f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({marks(len(values))})", values)


async def test_each_thing_that_a_rule_names_must_fit(store: Store) -> None:
    await laid_out(store)
    restriction = Restriction(actors=(ORG,), purposes=("TREAT",), now_us=NOW)
    condition, params = consented("r", restriction)
    for labels, rules, row, wanted in (*one_by_one(), *several()):
        change = Change(statements=[Statement("DELETE FROM clearance", ()), Statement("DELETE FROM panel", ())])
        change.statements.append(Statement("UPDATE resource SET labels = ? WHERE key = ?", (labels, KEY)))
        change.statements += [inserted("panel", row), *(inserted("clearance", tuple(vars(r).values())) for r in rules)]
        await store.commit(change)
        subject, patient_key, team_key, basis, _, start_us, end_us = row
        mine = subject == ORG and patient_key == 5 and basis == "care-team" and start_us <= NOW < end_us
        asker = Asker(Relation.PANEL, frozenset({ORG, team_key} if mine else {ORG}), ("TREAT",), NOW)
        facts = Facts(KEY, "Condition", 5, labels, 9, frozenset({REFERRED}), frozenset({REFERRING}))
        assert isinstance(decide(asker, facts, rules), Permit) is wanted, (labels, rules)
        found = await store.fetch(f"SELECT 1 FROM resource r WHERE r.key = ? AND {condition}", (KEY, *params))
        assert bool(found) is wanted, (labels, rules, row)
        one = Found(KEY, "Condition", "a", 1, 50, False, b"{}", 5, labels, 9)
        judged = verdict_of(one, Relation.PANEL, await raw_facts(store, asked_of([one], restriction)), restriction)
        assert isinstance(judged, Permit) is wanted, (labels, rules, row)
