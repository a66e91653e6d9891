"""Whether a caller may have a resource: the relation first, then the rules of the patient's Consents.

Pure and total. service/store/visible_consent.py says the same in SQL. How rules combine: service/search/clearance.py.
Source: ../shared/facts/security.md 3, closed-loop.md 4.5.
"""

from collections.abc import Iterable, Iterator

from service.access.consent.rules import (
    AUTHOR,
    BREAK_GLASS,
    GENERAL,
    NO_RELATION,
    NOT_NAMED,
    PART_2,
    RELATION,
    Asker,
    Deny,
    Facts,
    Obligation,
    Permit,
    Reason,
    Relation,
    Rule,
    Verdict,
)
from service.search.clearance import EMERGENCY, LABEL_BITS, DataKind

_LABELS = (1 << LABEL_BITS) - 1


def decide(asker: Asker, facts: Facts, rules: Iterable[Rule]) -> Verdict:
    """Permit with what it rests on and what goes with it, or Deny with why: all labels that stand in the way."""
    if asker.relation is Relation.NONE:
        return Deny((NO_RELATION,))
    if asker.relation is Relation.AUTHOR:
        return Permit((AUTHOR,), _disclosed(facts) - {Obligation.REDISCLOSURE_NOTICE})
    fitting = [rule for rule in rules if _fits(rule, asker, facts)]
    grounds, against = [RELATION], []
    for bit in _needed(facts.labels):
        rule = _deciding(bit, fitting)
        if rule is None and bit != GENERAL:
            against.append(NOT_NAMED)
        elif rule is not None:
            (against if rule.denies else grounds).append(_reason(rule))
    if against:
        return Deny(tuple(dict.fromkeys(against)))
    view = {Obligation.MIN_VIEW} if asker.relation is Relation.VIEW else set()
    return Permit(tuple(dict.fromkeys(grounds)), _disclosed(facts) | view)


def _needed(labels: int) -> Iterator[int]:
    """GENERAL, and each label; what lies beyond the labels counts as one that nothing clears."""
    yield GENERAL
    for number in range(LABEL_BITS):
        if labels >> number & 1:
            yield 1 << number
    if labels & ~_LABELS:
        yield 0


def _deciding(bit: int, fitting: Iterable[Rule]) -> Rule | None:
    """The rule that decides about this bit, None where no Consent speaks of it."""
    standing: dict[int, Rule] = {}
    for rule in fitting:
        if rule.labels & bit:
            known = standing.get(rule.consent)
            if known is None or (rule.grade, rule.number) > (known.grade, known.number):
                standing[rule.consent] = rule
    # Of equals the same one is named whatever their order.
    return max(standing.values(), key=lambda rule: (rule.weight, rule.consent), default=None)


def _reason(rule: Rule) -> Reason:
    return BREAK_GLASS if rule.weight == EMERGENCY else Reason("consent", rule.consent, rule.number)


def _fits(rule: Rule, asker: Asker, facts: Facts) -> bool:
    return (
        rule.patient == facts.patient
        and rule.start_us <= asker.now_us < rule.end_us
        and (rule.actor == 0 or rule.actor in asker.actors)
        and (rule.also == 0 or rule.also in asker.actors)
        and (rule.purpose == "" or rule.purpose in asker.purposes)
        and rule.rtype in ("", facts.rtype)
        and _speaks_of(rule, facts)
    )


def _speaks_of(rule: Rule, facts: Facts) -> bool:
    if rule.data_kind == DataKind.ANY:
        return True
    if rule.data_kind == DataKind.AUTHORED_BY:
        return rule.data == facts.source_org
    if rule.data == facts.key:
        return True
    if rule.data_kind == DataKind.RELATED:
        return rule.data in facts.referred_by
    return rule.data_kind == DataKind.DEPENDENTS and rule.data in facts.refers_to


def _disclosed(facts: Facts) -> frozenset[Obligation]:
    """Labelled data is accounted for wherever it goes; what Part 2 may protect goes with its notice."""
    if not facts.labels:
        return frozenset()
    notice = {Obligation.REDISCLOSURE_NOTICE} if facts.labels & PART_2 else set()
    return frozenset({Obligation.AUDIT_DISCLOSURE, *notice})
