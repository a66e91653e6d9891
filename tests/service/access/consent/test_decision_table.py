"""The whole decision table: 6 actors x 4 relations x 6 purposes x 8 label sets x 7 consents x 2 = 16,128 rows."""

from itertools import product

import pytest

from service.access.consent.compile import compiled
from service.access.consent.decide import decide
from service.access.consent.provisions import Source
from service.access.consent.rules import ACT, Asker, Facts, Obligation, Permit, Relation, Rule, bits_of
from service.access.consent.who import actors_of, purposes_of
from service.caller import Caller, Role
from service.operations.break_glass import cleared
from service.search.clearance import EMERGENCY
from service.search.keys import Keys
from tests.service.access.consent.consents import consent, rule
from tests.service.access.consent.table_oracle import oracle

KEYS = Keys(b"secret")
NOW_US = 1_772_900_000_000_000
PEOPLE = {
    "ecm-provider": Caller("c1", Role.ECM_PROVIDER, "Organization/ecm"),
    "lead care manager": Caller("c2", Role.LCM, "Organization/ecm", "Practitioner/lcm"),
    "plan": Caller("c3", Role.MCP, "Organization/plan"),
    "community organization": Caller("c4", Role.CBO, "Organization/cbo"),
    "hospital": Caller("c5", Role.HOSPITAL, "Organization/hospital"),
    "referrer": Caller("c6", Role.REFERRER, "Organization/referrer"),
}
RELATIONS = {"none": Relation.NONE, "panel": Relation.PANEL, "view": Relation.VIEW, "author": Relation.AUTHOR}
PURPOSES = ("TREAT", "COC", "BTG", "HPAYMT", "HOPERAT", "CAREMGT")
LABELS = (
    (),
    ("SUD",),
    ("42CFRPart2",),
    ("SUD", "42CFRPart2"),
    ("MH",),
    ("SUD", "HIV"),
    ("PSYTHPN",),
    ("SEX", "SDV", "unlisted"),
)
TO = ("Organization/ecm", "CareTeam/t")
SHARE = rule("permit", to=TO, purpose=("TREAT",), label=("SUD", "42CFRPart2"))
CONSENTS = {
    "none": None,
    "permit": consent("Consent/c", SHARE),
    "deny": consent("Consent/c", rule("deny", label=("SUD", "42CFRPart2"))),
    "expired": consent("Consent/c", {**SHARE, "period": {"end": "2025"}}),
    "revoked": consent("Consent/c", SHARE, status="inactive"),
    "other recipient": consent("Consent/c", rule("permit", to=("Organization/other",), label=("SUD", "42CFRPart2"))),
    "uninterpretable": consent("Consent/c", {**SHARE, "dataPeriod": {"start": "2020"}}),
}
RULES: dict[str, tuple[Rule, ...]] = {
    name: compiled(one, Source(KEYS)).rules if one else () for name, one in CONSENTS.items()
}
GLASS = Rule(
    KEYS.resource("Patient/a"), 1, 0, 0, 0, "", cleared(part2=True), "", 0, 0, EMERGENCY, NOW_US - 1, NOW_US + 1
)
"""What an emergency access opens, its form filled in whole; the panel row is for the one person who took it."""


def bits(labels: tuple[str, ...]) -> int:
    found = 0
    for label in labels:
        found |= bits_of(ACT, label)
    return found


def asker(role: str, relation: Relation, purpose: str) -> Asker:
    teams = {KEYS.resource("CareTeam/t")} if role == "community organization" else set()
    actors = frozenset({*actors_of(PEOPLE[role], KEYS), *teams})
    return Asker(relation, actors, purposes_of(purpose), NOW_US)


@pytest.mark.parametrize("consented", CONSENTS)
def test_every_row_is_as_the_law_says(consented: str) -> None:
    rows = wrong = 0
    facts = {ls: Facts(1, "Condition", KEYS.resource("Patient/a"), bits(ls), 7) for ls in LABELS}
    for role, relation, purpose, ls, glass in product(PEOPLE, RELATIONS, PURPOSES, LABELS, (False, True)):
        rules = (*RULES[consented], GLASS) if glass else RULES[consented]
        found = decide(asker(role, RELATIONS[relation], purpose), facts[ls], rules)
        wanted = oracle(role, relation, purpose, frozenset(ls), consented, glass)
        rows += 1
        wrong += isinstance(found, Permit) != wanted
        assert found.reasons
        if isinstance(found, Permit) and {"SUD", "42CFRPart2"} & {*ls}:
            assert found.obligations
            assert (Obligation.REDISCLOSURE_NOTICE in found.obligations) == (relation != "author")
    assert (rows, wrong) == (2_304, 0)


def test_the_table_is_whole() -> None:
    assert len(PEOPLE) * len(RELATIONS) * len(PURPOSES) * len(LABELS) * len(CONSENTS) * 2 == 16_128
