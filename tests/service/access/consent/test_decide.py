"""decide() row by row: instants, data references, bits, reasons and obligations."""

from dataclasses import replace
from typing import Any

import pytest

from service.access import labels
from service.access.consent.decide import decide
from service.access.consent.rules import (
    AUTHOR,
    BREAK_GLASS,
    NO_RELATION,
    NOT_NAMED,
    RELATION,
    Asker,
    Deny,
    Facts,
    Obligation,
    Permit,
    Reason,
    Relation,
    Rule,
)
from service.search.clearance import EMERGENCY, GENERAL, LABEL_BITS, DataKind, Specificity, grade

SUD, MH = labels.SUD, labels.BITS["mental-health"]
ASKER = Asker(Relation.PANEL, frozenset({7}), ("TREAT",), 50)
FACTS = Facts(1, "Condition", 5, SUD, 9, frozenset({2}), frozenset({3}))
RULE = Rule(5, 100, 0, 0, 0, "", SUD, "", 0, 0, grade(0, Specificity.DATA, denies=False), 10, 60)


def permits(rule: Rule, asker: Asker = ASKER, facts: Facts = FACTS) -> bool:
    return isinstance(decide(asker, facts, [rule]), Permit)


@pytest.mark.parametrize(("now_us", "wanted"), [(9, False), (10, True), (59, True), (60, False)])
def test_a_rule_holds_from_its_start_until_before_its_end(now_us: int, wanted: bool) -> None:
    assert permits(RULE, replace(ASKER, now_us=now_us)) is wanted


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        (DataKind.INSTANCE, 1, True),
        *((DataKind.INSTANCE, other, False) for other in (0, 2, 3, 9)),
        (DataKind.RELATED, 1, True),
        (DataKind.RELATED, 3, True),
        *((DataKind.RELATED, other, False) for other in (2, 9)),
        (DataKind.DEPENDENTS, 1, True),
        (DataKind.DEPENDENTS, 2, True),
        *((DataKind.DEPENDENTS, other, False) for other in (3, 9)),
        (DataKind.AUTHORED_BY, 9, True),
        *((DataKind.AUTHORED_BY, other, False) for other in (1, 2, 3)),
        *((9, other, False) for other in (0, 2, 3, 9)),
    ],
)
def test_of_which_data_a_rule_speaks(kind: int, data: int, wanted: bool) -> None:
    assert permits(replace(RULE, data_kind=kind, data=data)) is wanted


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ({"patient": 5}, True),
        ({"patient": 6}, False),
        ({"actor": 7}, True),
        ({"actor": 8}, False),
        ({"also": 7}, True),
        ({"also": 8}, False),
        ({"actor": 7, "also": 8}, False),
        ({"actor": 8, "also": 7}, False),
        ({"purpose": "TREAT"}, True),
        ({"purpose": "HPAYMT"}, False),
        ({"rtype": "Condition"}, True),
        ({"rtype": "Observation"}, False),
    ],
)
def test_each_thing_that_a_rule_names_must_fit(named: dict[str, Any], wanted: bool) -> None:
    assert permits(replace(RULE, **named)) is wanted


def test_every_bit_is_asked_for() -> None:
    whole = replace(RULE, labels=(1 << LABEL_BITS) - 1)
    for number in range(LABEL_BITS):
        facts = replace(FACTS, labels=1 << number)
        assert permits(whole, facts=facts)
        assert not permits(replace(whole, labels=whole.labels & ~facts.labels), facts=facts)
    for beyond in (1 << LABEL_BITS, GENERAL, -1):
        assert not permits(replace(whole, labels=-1, grade=EMERGENCY), facts=replace(FACTS, labels=beyond))


def test_within_a_consent_depth_comes_first_and_between_them_it_does_not_count() -> None:
    deep = replace(RULE, number=1, grade=grade(1, Specificity.DATA, denies=False))
    parent = replace(RULE, number=2, grade=grade(0, Specificity.DATA, denies=True))
    other = replace(parent, consent=200)
    for rules, wanted in (([deep, parent], True), ([deep, parent, other], False), ([deep, other], False)):
        for ordered in (rules, rules[::-1]):
            assert isinstance(decide(ASKER, FACTS, ordered), Permit) is wanted


def test_reasons_name_the_rule_that_decided() -> None:
    same: Any = [replace(RULE, consent=300, number=4), replace(RULE, consent=200, number=9)]
    for ordered in (same, same[::-1]):
        found = decide(ASKER, FACTS, ordered)
        assert found == Permit((RELATION, Reason("consent", 300, 4)), found.obligations)  # type: ignore[union-attr]
    equal = [RULE, replace(RULE, number=1)]
    assert decide(ASKER, FACTS, equal).reasons[1].number == decide(ASKER, FACTS, equal[::-1]).reasons[1].number == 1
    deny = replace(RULE, grade=RULE.grade + 1)
    assert decide(ASKER, FACTS, [deny]) == Deny((Reason("consent", 100, 0),))
    assert decide(ASKER, replace(FACTS, labels=SUD | MH), []) == Deny((NOT_NAMED,))
    assert decide(replace(ASKER, relation=Relation.NONE), FACTS, [RULE]) == Deny((NO_RELATION,))
    assert decide(replace(ASKER, relation=Relation.AUTHOR), FACTS, [deny]).reasons == (AUTHOR,)
    glass = replace(RULE, consent=1, grade=EMERGENCY)
    assert decide(ASKER, FACTS, [deny, glass]).reasons == (RELATION, BREAK_GLASS)


@pytest.mark.parametrize(
    ("bits", "obligations"),
    [
        (0, set()),
        (SUD, {Obligation.REDISCLOSURE_NOTICE, Obligation.AUDIT_DISCLOSURE}),
        (labels.PART2, {Obligation.REDISCLOSURE_NOTICE, Obligation.AUDIT_DISCLOSURE}),
        (MH, {Obligation.AUDIT_DISCLOSURE}),
    ],
)
def test_what_goes_with_a_permit(bits: int, obligations: set[Obligation]) -> None:
    rule = replace(RULE, labels=bits)
    found = decide(ASKER, replace(FACTS, labels=bits), [rule])
    assert isinstance(found, Permit) and found.obligations == obligations
    view = decide(replace(ASKER, relation=Relation.VIEW), replace(FACTS, labels=bits), [rule])
    assert isinstance(view, Permit) and view.obligations == obligations | {Obligation.MIN_VIEW}
    author = decide(replace(ASKER, relation=Relation.AUTHOR), replace(FACTS, labels=bits), [])
    assert isinstance(author, Permit) and author.obligations == obligations - {Obligation.REDISCLOSURE_NOTICE}
