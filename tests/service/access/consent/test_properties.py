"""What holds for all Consents, callers and resources: P1 to P12. P9: tests/service/store/test_visible_consent.py."""

import os
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.access.consent.compile import compiled
from service.access.consent.decide import decide
from service.access.consent.provisions import Source
from service.access.consent.rules import (
    PART_2,
    SENSITIVE,
    Asker,
    Deny,
    Facts,
    Obligation,
    Permit,
    Relation,
    Rule,
)
from service.search.clearance import LABEL_BITS
from service.search.keys import Keys
from tests.service.access.consent.consents import ACT, consent, rule
from tests.service.access.consent.random_consents import (
    DATA,
    ORGANIZATIONS,
    RECIPIENTS,
    TYPES,
    UNKNOWN,
    provision,
    random_consent,
    random_purposes,
)

EXAMPLES = 10_000 if os.environ.get("ENLACE_TEST_DEEP") else 50
pytestmark = pytest.mark.timeout(1_800)
KEYS = Keys(b"secret")
SOURCE = Source(KEYS)
NOW_US = 1_772_900_000_000_000
A, B = "Patient/a", "Patient/b"
randoms = st.integers(0, 2**63).map(Random)
sometimes = settings(max_examples=EXAMPLES, deadline=None)


def rules_of(*consents: dict[str, Any]) -> list[Rule]:
    return [one for body in consents for one in compiled(body, SOURCE).rules]


def some_consents(random: Random, patient: str = A, first: int = 0) -> list[dict[str, Any]]:
    return [random_consent(random, first + n, patient, unknown=0.05) for n in range(random.randint(0, 3))]


def some_asker(random: Random) -> Asker:
    relation = random.choice((Relation.PANEL, Relation.PANEL, Relation.PANEL, Relation.VIEW, Relation.NONE))
    actors = frozenset(KEYS.resource(one) for one in random.sample(RECIPIENTS, random.randint(0, 3)))
    return Asker(relation, actors, random_purposes(random), NOW_US)


def some_facts(random: Random, patient: str = A) -> Facts:
    reference = random.choice(DATA)
    labels = random.choice((0, PART_2, random.randrange(SENSITIVE + 1) & 0xFF))
    around = [frozenset(KEYS.resource(one) for one in random.sample(DATA, random.randint(0, 2))) for _ in range(2)]
    return Facts(
        KEYS.resource(reference),
        random.choice(TYPES),
        KEYS.resource(patient),
        labels,
        KEYS.resource(random.choice(ORGANIZATIONS)),
        *around,
    )


def permits(asker: Asker, facts: Facts, rules: list[Rule]) -> bool:
    return isinstance(decide(asker, facts, rules), Permit)


@sometimes
@given(randoms)
def test_p1_without_a_consent_labelled_data_is_denied(random: Random) -> None:
    facts, asker = some_facts(random), some_asker(random)
    labelled = replace(facts, labels=facts.labels | 1 << random.randrange(LABEL_BITS))
    assert not permits(asker, labelled, [])
    assert permits(asker, replace(facts, labels=0), []) == (asker.relation is not Relation.NONE)


@sometimes
@given(randoms)
def test_p2_another_deny_never_permits_more(random: Random) -> None:
    consents, asker, facts = some_consents(random), some_asker(random), some_facts(random)
    more = consent("Consent/more", denies_only(provision(random)))
    before, after = rules_of(*consents), rules_of(*consents, more)
    assert permits(asker, facts, before) or not permits(asker, facts, after)


def denies_only(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "type": "deny", "provision": [denies_only(inner) for inner in one.get("provision", ())]}


@sometimes
@given(randoms)
def test_p2_another_deny_within_a_consent_never_permits_more(random: Random) -> None:
    root = provision(random)
    asker, facts, others = some_asker(random), some_facts(random), some_consents(random)
    nested = {k: v for k, v in provision(random, 3, "deny").items() if k != "provision"}
    more = {**root, "provision": [*root.get("provision", ()), nested]}
    before = rules_of(consent("Consent/c", root), *others)
    assert permits(asker, facts, before) or not permits(asker, facts, rules_of(consent("Consent/c", more), *others))


@sometimes
@given(randoms)
def test_p3_another_label_never_permits_more(random: Random) -> None:
    rules, asker, facts = rules_of(*some_consents(random)), some_asker(random), some_facts(random)
    more = replace(facts, labels=facts.labels | 1 << random.randrange(LABEL_BITS + 4))
    assert permits(asker, facts, rules) or not permits(asker, more, rules)


@sometimes
@given(randoms)
def test_p4_a_permit_changes_its_own_patient_only(random: Random) -> None:
    rules, asker, facts = rules_of(*some_consents(random)), some_asker(random), some_facts(random)
    others = rules_of(*some_consents(random, B), consent("Consent/b", rule("permit", label=("SUD",)), B))
    assert decide(asker, facts, rules) == decide(asker, facts, rules + others)


@sometimes
@given(randoms)
def test_p5_the_order_of_consents_is_of_no_matter(random: Random) -> None:
    rules, asker, facts = rules_of(*some_consents(random)), some_asker(random), some_facts(random)
    shuffled = random.sample(rules, len(rules))
    assert decide(asker, facts, rules) == decide(asker, facts, shuffled)


@sometimes
@given(randoms)
def test_p6_expired_is_absent(random: Random) -> None:
    rules, asker, facts = rules_of(*some_consents(random)), some_asker(random), some_facts(random)
    over = consent("Consent/over", {**provision(random), "period": {"end": "2026-03-06"}})
    later = consent("Consent/later", {**provision(random), "period": {"start": "2026-03-09"}})
    assert decide(asker, facts, rules) == decide(asker, facts, [*rules, *rules_of(over, later)])


@sometimes
@given(randoms)
def test_p7_what_is_revoked_is_gone(random: Random) -> None:
    asker, facts, others = some_asker(random), some_facts(random), some_consents(random)
    given_one = random_consent(random, 9, A)
    for status in ("inactive", "entered-in-error", "draft", "proposed"):
        assert rules_of({**given_one, "status": status}) == []
    refused = rules_of({**given_one, "status": "rejected"})
    assert all(one.denies for one in refused)
    assert permits(asker, facts, rules_of(*others)) or not permits(asker, facts, rules_of(*others) + refused)


@sometimes
@given(randoms)
def test_p8_every_verdict_cites_what_it_rests_on(random: Random) -> None:
    rules, asker, facts = rules_of(*some_consents(random)), some_asker(random), some_facts(random)
    found = decide(asker, facts, rules)
    assert found.reasons
    named = {(one.consent, one.number) for one in rules}
    assert {(r.consent, r.number) for r in found.reasons if r.rule == "consent"} <= named
    if isinstance(found, Permit) and facts.labels:
        assert any(reason.rule == "consent" for reason in found.reasons)


@sometimes
@given(randoms)
def test_p10_what_part_2_protects_goes_with_its_notice(random: Random) -> None:
    facts, asker = replace(some_facts(random), labels=PART_2), some_asker(random)
    open_to_all = consent("Consent/c", rule("permit", label=("SUD", "42CFRPart2")))
    found = decide(asker, facts, rules_of(open_to_all))
    if isinstance(found, Permit):
        assert {Obligation.REDISCLOSURE_NOTICE, Obligation.AUDIT_DISCLOSURE} <= found.obligations
        assert (Obligation.MIN_VIEW in found.obligations) == (asker.relation is Relation.VIEW)
    own = decide(replace(asker, relation=Relation.AUTHOR), facts, [])
    assert isinstance(own, Permit) and own.obligations == {Obligation.AUDIT_DISCLOSURE}


@sometimes
@given(randoms, st.sampled_from(UNKNOWN))
def test_p11_what_is_not_understood_never_permits(random: Random, unknown: dict[str, Any]) -> None:
    root = {**provision(random), **unknown}
    made = compiled(consent("Consent/c", root), SOURCE)
    assert made.problems and all(one.denies for one in made.rules)
    assert all(problem.startswith("Consent") for problem in made.problems)
    asker = replace(some_asker(random), relation=Relation.PANEL)
    others = [one for one in some_consents(random) if one["status"] != "inactive"]
    facts = replace(some_facts(random), labels=1 << random.randrange(8))
    if all(one.start_us <= NOW_US < one.end_us for one in made.rules):
        assert not permits(asker, facts, [*rules_of(*others), *made.rules])


def test_an_exception_of_a_consent_that_is_not_understood_does_not_stand_for_it() -> None:
    """The exception weighs less than what stands for the whole: another Consent that names the recipient would win."""
    root = rule("deny", rule("deny"), modifierExtension=[{"url": "urn:x", "valueBoolean": True}])
    named = rule("permit", to=("Organization/one",), label=("SUD", "42CFRPart2"))
    unread, other = consent("Consent/c", root), consent("Consent/o", named)
    asker = Asker(Relation.PANEL, frozenset({KEYS.resource("Organization/one")}), ("TREAT",), NOW_US)
    facts = replace(some_facts(Random(1)), labels=PART_2, source_org=0)
    assert permits(asker, facts, rules_of(other)) and not permits(asker, facts, rules_of(other, unread))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(("permit", "deny", "SUD", ACT)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("type", "provision", "actor", "coding", "system", "code", "period", "start", "reference")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@sometimes
@given(randoms, anything, st.sampled_from(("provision", "scope", "status", "verification", "policy", "patient", "id")))
def test_p12_nothing_raises(random: Random, value: Any, element: str) -> None:
    body = {**random_consent(random, 1, A), element: value}
    made = compiled(body, SOURCE)
    if element == "provision" and made.problems:
        assert all(one.denies for one in made.rules)
    facts = Facts(
        random.getrandbits(64) - 2**63,
        "",
        random.choice((None, KEYS.resource(A))),
        random.getrandbits(64) - 2**63,
        random.getrandbits(64),
    )
    wild = [
        Rule(*(random.getrandbits(8) for _ in range(5)), "", random.getrandbits(63), "", *(-1, 0, -5, -1, 2**63))
        for _ in range(3)
    ]
    asker = Asker(random.choice(list(Relation)), frozenset(), ("",), NOW_US)
    assert isinstance(decide(asker, facts, [*made.rules, *wild]), Permit | Deny)
