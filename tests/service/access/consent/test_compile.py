"""What a Consent compiles to, and what it therefore decides: nesting, inheritance, what is refused, combination."""

from typing import Any

import pytest

from service.access.consent import compile as compiling
from service.access.consent.compile import Compiled, compiled
from service.access.consent.decide import decide
from service.access.consent.provisions import Source
from service.access.consent.rules import ACT, GENERAL, SENSITIVE, Asker, Facts, Permit, Relation, bits_of
from service.access.consent.who import actors_of, purposes_of
from service.caller import Caller, Role
from service.search.clearance import GRADES, Specificity, grade
from service.search.dates import MAX_US, MIN_US
from service.search.keys import Keys
from tests.service.access.consent.consents import actors, consent, of_class, of_data, rule

KEYS = Keys(b"secret")
BASE = "http://127.0.0.1:8000/fhir"
NOW_US = 1_772_900_000_000_000
ONE, TWO, PERSON = "Organization/one", "Organization/two", "Practitioner/p"
SUD, MH, HIV = (bits_of(ACT, code) for code in ("SUD", "MH", "HIV"))
Resource = dict[str, Any]


def action(code: str) -> Resource:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": code}]}


def made(provision: Resource | None, **more: Any) -> Compiled:
    roles = {"PractitionerRole/r": (PERSON, ONE)}
    return compiled(consent("Consent/c", provision, **more), Source(KEYS, BASE, roles))


def seen(
    *consents: Resource,
    to: tuple[str, ...] = (ONE,),
    purpose: str = "TREAT",
    label: int = SUD,
    rtype: str = "Condition",
    now_us: int = NOW_US,
) -> bool:
    """Whether an organization in relation to the patient has a resource with these labels."""
    rules = [r for n, one in enumerate(consents) for r in compiled({**one, "id": f"c{n}"}, Source(KEYS, BASE)).rules]
    asker = Asker(Relation.PANEL, frozenset(map(KEYS.resource, to)), purposes_of(purpose), now_us)
    facts = Facts(KEYS.resource(f"{rtype}/1"), rtype, KEYS.resource("Patient/a"), label, KEYS.resource(TWO))
    return isinstance(decide(asker, facts, rules), Permit)


def one(provision: Resource, **more: Any) -> Resource:
    return consent("Consent/c", provision, **more)


def test_a_row_says_what_the_provision_says() -> None:
    whole = rule("permit", to=(ONE,), purpose=("TREAT",), label=("SUD", "N"), period={"start": "2026-01-01T00:00:00Z"})
    whole |= {"class": of_class("Condition"), "data": of_data("related", f"{BASE}/Condition/1")}
    (row,) = made(whole).rules
    assert (row.patient, row.consent, row.number) == (KEYS.resource("Patient/a"), KEYS.resource("Consent/c"), 0)
    assert (row.actor, row.also, row.purpose, row.labels) == (KEYS.resource(ONE), 0, "TREAT", SUD | GENERAL)
    assert (row.rtype, row.data_kind, row.data) == ("Condition", 2, KEYS.resource("Condition/1"))
    assert (row.start_us, row.end_us) == (1_767_225_600_000_000, MAX_US)
    assert row.grade == grade(0, Specificity.RECIPIENT, denies=False) and not row.denies


@pytest.mark.parametrize(
    ("provision", "specificity"),
    [
        (rule("deny"), Specificity.ANY),
        (rule("deny", purpose=("TREAT",)), Specificity.PURPOSE),
        (rule("deny", purpose=("TREAT",), label=("SUD",)), Specificity.DATA),
        (rule("deny", **{"class": of_class("Condition")}), Specificity.DATA),
        (rule("deny", data=of_data("instance", "Condition/1")), Specificity.DATA),
        (rule("deny", to=(ONE,)), Specificity.RECIPIENT),
        (rule("deny", code=[{"text": "x"}]), Specificity.UNREADABLE),
    ],
)
def test_what_is_named_is_what_makes_it_specific(provision: Resource, specificity: Specificity) -> None:
    assert max(row.weight for row in made(provision).rules) == grade(0, specificity, denies=True)


def test_each_value_is_a_row_and_labels_are_bits_of_one() -> None:
    many = rule("deny", to=(ONE, TWO), purpose=("TREAT", "HPAYMT"), label=("SUD", "MH", "HIV"))
    rows = made({**many, "class": of_class("Condition", "Procedure")}).rules
    assert len(rows) == 8 and {row.labels for row in rows} == {SUD | MH | HIV}
    assert [row.number for row in rows] == list(range(8))


@pytest.mark.parametrize(
    ("provision", "labels_"),
    [
        (rule("permit"), {GENERAL}),
        (rule("deny"), {GENERAL | SENSITIVE}),
        (rule("permit", label=("N",)), {GENERAL}),
        (rule("permit", label=("R",)), {GENERAL | GRADES["R"]}),
        (rule("permit", label=("V",)), {GENERAL | GRADES["R"] | GRADES["V"]}),
        (rule("deny", label=("V",)), {SENSITIVE}),
        (rule("deny", label=("R",)), {SENSITIVE}),
        (rule("deny", label=("L",)), {GENERAL}),
        (rule("permit", action=[action("collect")]), set()),
        (rule("permit", action=[action("collect"), action("disclose")]), {GENERAL}),
    ],
)
def test_what_a_rule_without_a_label_speaks_of(provision: Resource, labels_: set[int]) -> None:
    assert {row.labels for row in made(provision).rules} == labels_ and not made(provision).problems


def test_a_form_of_release_refuses_what_needs_a_release_only() -> None:
    policy = [{"uri": compiling.RELEASES[0] + "-ab-133-draft"}]
    (row,) = made(rule("deny"), policy=policy).rules
    assert row.labels == SENSITIVE
    assert not seen(one(rule("deny")), label=0) and seen(one(rule("deny"), policy=policy), label=0)


@pytest.mark.parametrize(
    ("more", "count"),
    [({"status": status}, 0) for status in ("draft", "proposed", "inactive", "entered-in-error")]
    + [({"status": "active"}, 2), ({"status": "rejected"}, 1), ({"patient": None}, 0), ({"patient": {}}, 0)]
    + [({"verification": [{"verified": True}]}, 2), ({"verification": [{"verified": True}, {"verified": False}]}, 1)],
)
def test_which_consents_have_rules(more: Resource, count: int) -> None:
    found = made(rule("permit", rule("deny", label=("HIV",)), label=("SUD",)), **more)
    assert len(found.rules) == count and not found.problems


@pytest.mark.parametrize("scope", ["adr", "research", "treatment"])
def test_a_consent_to_something_else_is_none_to_share(scope: str) -> None:
    coding = {"system": compiling.SCOPE, "code": scope}
    assert made(rule("deny"), scope={"coding": [coding]}) == Compiled()


def test_a_rejected_form_denies_what_it_asked_for_to_whom_it_asked_for() -> None:
    refused = one(rule("permit", rule("permit", label=("HIV",)), to=(ONE,)), status="rejected")
    general = one(rule("permit", label=("SUD",)))
    assert not seen(refused, general) and seen(refused, general, to=(TWO,)) and seen(refused, label=0)
    assert not seen(one(rule("permit"), status="rejected"), general)
    assert [row.labels for row in made(None, status="rejected").rules] == [SENSITIVE]
    assert made(None) == Compiled()


@pytest.mark.parametrize(
    ("provision", "place"),
    [
        (rule("permit", dataPeriod={"start": "2020"}), "Consent.provision.dataPeriod"),
        (rule("permit", code=[{"text": "x"}]), "Consent.provision.code"),
        (rule("permit", modifierExtension=[{"url": "urn:x"}]), "Consent.provision.modifierExtension"),
        (rule("permit", period={"start": "soon"}), "Consent.provision.period"),
        (rule("permit", to=("Group/g",)), "Consent.provision.actor[0]"),
        (rule("permit", to=(ONE, "Device/d")), "Consent.provision.actor[1]"),
        (rule("permit", to=("PractitionerRole/unknown",)), "Consent.provision.actor[0]"),
        (rule("permit", to=("https://elsewhere.example.org/fhir/Organization/one",)), "Consent.provision.actor[0]"),
        (rule("permit", actor=[{**actors(ONE)[0], "role": {"text": "x"}}]), "Consent.provision.actor[0]"),
        (rule("permit", actor=[{**actors(ONE)[0], "reference": {"display": "x"}}]), "Consent.provision.actor[0]"),
        (rule("permit", purpose=("TREAT", "FUN")), "Consent.provision.purpose[1]"),
        ({**rule("permit"), "purpose": [{"code": "TREAT"}]}, "Consent.provision.purpose[0]"),
        (rule("permit", label=("DEMO",)), "Consent.provision.securityLabel[0]"),
        (rule("permit", label=("NORDSCLCD",)), "Consent.provision.securityLabel[0]"),
        (rule("permit", label=("Q",)), "Consent.provision.securityLabel[0]"),
        (rule("permit", **{"class": [{"system": "urn:x", "code": "Condition"}]}), "Consent.provision.class[0]"),
        (rule("permit", **{"class": of_class("Nothing")}), "Consent.provision.class[0]"),
        (rule("permit", action=[{"coding": [{"system": "urn:x", "code": "access"}]}]), "Consent.provision.action[0]"),
        (rule("permit", data=of_data("whatever", "Condition/1")), "Consent.provision.data[0]"),
        (rule("permit", data=of_data("authoredby", PERSON)), "Consent.provision.data[0]"),
        (rule("permit", rule(None, label=("SUD",))), "Consent.provision.provision[0].type"),
        (rule("allow"), "Consent.provision.type"),
        (
            rule("permit", rule("deny", rule("permit", to=(TWO,)), to=(ONE,))),
            "Consent.provision.provision[0].provision[0].actor",
        ),
        (
            rule("permit", rule("deny", rule("permit", purpose=("TREAT",)), purpose=("COC",))),
            "Consent.provision.provision[0].provision[0].purpose",
        ),
        (
            rule(
                "permit",
                rule(
                    "deny",
                    rule("permit", data=of_data("instance", "Condition/2")),
                    data=of_data("instance", "Condition/1"),
                ),
            ),
            "Consent.provision.provision[0].provision[0].data",
        ),
        (
            rule("permit", rule("deny", rule("permit", label=("SUD",))), rule("deny", to=(ONE,))),
            "Consent.provision.provision[0]",
        ),
    ],
)
def test_what_is_not_understood_is_named_and_denies(provision: Resource, place: str) -> None:
    found = made(provision)
    assert [problem.partition(":")[0] for problem in found.problems] == [place]
    last = found.rules[-1]
    assert last.labels == SENSITIVE and last.actor == 0 and last.grade == grade(5, Specificity.UNREADABLE, denies=True)
    assert all(row.denies for row in found.rules)
    assert not seen(one(provision), one(rule("permit", to=(ONE,), label=("SUD",)))) and "urn:x" not in str(found)


@pytest.mark.parametrize(
    "more",
    [
        {"status": "new"},
        {"scope": {"coding": [{"system": compiling.SCOPE, "code": "other"}]}},
        {"scope": {"coding": [{"system": "urn:x", "code": "patient-privacy"}]}},
        {"scope": {"text": "x"}},
        {"scope": None},
        {"modifierExtension": [{"url": "urn:x"}]},
        {"implicitRules": "urn:x"},
        {"provision": {"type": "permit", "actor": [{}]}},
        {"provision": [1]},
        {"status": ["active"]},
    ],
)
def test_a_whole_that_is_not_understood_permits_nothing(more: Resource) -> None:
    found = (
        made(rule("permit", label=("SUD",)), **more)
        if "provision" not in more
        else compiled({**one(rule("permit")), **more}, Source(KEYS, BASE))
    )
    assert found.problems and found.rules and all(row.denies for row in found.rules)


def test_what_is_not_understood_counts_while_it_is_in_force() -> None:
    unclear = one(rule("permit", code=[{"text": "x"}], period={"end": "2026-02"}))
    assert seen(unclear, one(rule("permit", label=("SUD",))))
    assert not seen(unclear, one(rule("permit", label=("SUD",))), now_us=NOW_US - 30 * 86_400_000_000)
    still = one({**rule("permit", rule("deny", to=(ONE,)), code=[{"text": "x"}])})
    assert not seen(still, label=0) and seen(still, to=(TWO,), label=0)


def test_exceptions_lie_five_deep_at_most() -> None:
    deep = rule("permit", label=("SUD",))
    for kind in ("deny", "permit", "deny", "permit"):
        deep = rule(kind, deep, label=("SUD",))
    assert not made(deep).problems and seen(one(deep))
    assert {row.grade // 16 for row in made(deep).rules} == {0, 1, 2, 3, 4}
    found = made(rule("deny", deep))
    assert found.problems == (f"Consent.provision{'.provision[0]' * 5}: exceptions lie deeper than 5 levels.",)


def test_too_many_rules_are_refused() -> None:
    everybody = tuple(f"Organization/{number}" for number in range(compiling.MAX_RULES))
    assert len(made(rule("permit", to=everybody)).rules) == compiling.MAX_RULES
    found = made(rule("permit", rule("deny"), to=everybody))
    assert "500 rules" in found.problems[0] and len(found.rules) <= compiling.MAX_RULES + 1
    assert all(row.denies for row in found.rules)


@pytest.mark.parametrize(
    ("provision", "asked", "wanted"),
    [
        # An exception wins over its parent, in both directions, and inherits whom and for what.
        (rule("permit", rule("deny", label=("SUD",)), to=(ONE,), label=("SUD", "MH")), {"label": SUD}, False),
        (rule("permit", rule("deny", label=("SUD",)), to=(ONE,), label=("SUD", "MH")), {"label": MH}, True),
        (rule("permit", rule("permit", label=("HIV",)), to=(ONE,), label=("SUD",)), {"label": HIV}, True),
        (rule("permit", rule("permit", label=("HIV",)), to=(ONE,)), {"label": HIV, "to": (TWO,)}, False),
        (rule("permit", rule("permit", label=("HIV",)), purpose=("HPAYMT",)), {"label": HIV}, False),
        (rule("permit", rule("permit", to=(TWO,), label=("HIV",)), to=(ONE,)), {"label": HIV, "to": (TWO,)}, True),
        (rule("permit", rule("permit", to=(TWO,), label=("HIV",)), to=(ONE,)), {"label": HIV}, False),
        (rule("deny", rule("permit", to=(ONE,), label=("N",))), {"label": 0}, True),
        (rule("deny", rule("permit", to=(ONE,), label=("N",))), {"label": 0, "to": (TWO,)}, False),
        (rule("deny", rule("permit", to=(ONE,), label=("SUD",))), {"label": SUD}, False),
        (rule("deny", rule("permit", to=(ONE,), label=("SUD", "N"))), {"label": SUD}, True),
        # One of an exception is about what that one is about.
        (rule("permit", rule("deny", rule("permit", to=(ONE,)), label=("SUD",)), label=("SUD", "MH")), {}, True),
        (rule("permit", rule("deny", rule("permit", to=(ONE,)), label=("SUD",))), {"to": (TWO,)}, False),
        (
            rule(
                "deny",
                rule("permit", rule("deny", label=("SUD", "HIV")), **{"class": of_class("Condition")}, label=("SUD",)),
                label=("SUD",),
            ),
            {"rtype": "Procedure"},
            False,
        ),
        (rule("permit", rule("deny", rule("permit", label=("HIV",)), label=("SUD",))), {"label": HIV}, False),
        # A root without a type has exceptions only.
        (rule(None, rule("permit", label=("SUD",)), to=(ONE,)), {}, True),
        (rule(None, rule("permit", label=("SUD",)), to=(ONE,)), {"to": (TWO,)}, False),
        # An exception ends with its Consent.
        (rule("permit", rule("permit", label=("SUD",)), period={"end": "2026-01"}), {}, False),
        (rule("permit", rule("permit", label=("SUD",), period={"end": "2026-01"})), {}, False),
        (rule("permit", rule("permit", label=("SUD",), period={"start": "2026"}), period={"end": "2027"}), {}, True),
        # Of exceptions side by side the more specific one decides, among equals the one that denies.
        (rule("permit", rule("deny", label=("SUD",)), rule("permit", to=(ONE,), label=("SUD",))), {}, True),
        (rule("permit", rule("permit", label=("SUD",)), rule("deny", label=("SUD",))), {}, False),
        # What has exceptions of its own may stand beside what speaks of other data.
        (
            rule("permit", rule("deny", rule("permit", to=(ONE,)), label=("SUD",)), rule("deny", label=("MH",))),
            {"label": SUD},
            True,
        ),
        (
            rule(
                "permit",
                rule("deny", rule("permit", label=("SUD",)), **{"class": of_class("Condition")}, label=("SUD",)),
                rule("deny", **{"class": of_class("Procedure")}),
            ),
            {},
            True,
        ),
        (rule("permit", label=("SUD",), **{"class": of_class("Condition")}), {"rtype": "Procedure"}, False),
    ],
)
def test_exceptions(provision: Resource, asked: Resource, wanted: bool) -> None:
    assert made(provision).problems == ()
    assert seen(one(provision), **asked) is wanted


@pytest.mark.parametrize(
    ("provisions", "wanted"),
    [
        ((rule("permit", label=("SUD",)), rule("deny", label=("SUD",))), False),
        ((rule("permit", to=(ONE,), label=("SUD",)), rule("deny", label=("SUD",))), True),
        ((rule("permit", to=(ONE,), label=("SUD",)), rule("deny", to=(ONE,))), False),
        ((rule("permit", label=("SUD",)), rule("deny", purpose=("TREAT",), label=("HIV",))), True),
        ((rule("permit", purpose=("TREAT",), label=("SUD",)), rule("deny", purpose=("TREAT",))), False),
        # Depth does not count between Consents: the permit is an exception, and no more specific than the deny.
        ((rule("deny", rule("permit", to=(ONE,), label=("SUD", "N"))), rule("deny", to=(ONE,))), False),
        ((rule("deny", to=(ONE,)), rule("deny", rule("permit", to=(ONE,), label=("SUD", "N")))), False),
        # A deny with an exception denies the rest no less.
        ((rule("deny", rule("permit", label=("HIV",)), to=(ONE,)), rule("permit", to=(ONE,), label=("SUD",))), False),
        ((rule("permit", label=("SUD",)), rule("permit", label=("MH",))), True),
    ],
)
def test_several_consents(provisions: tuple[Resource, ...], wanted: bool) -> None:
    assert seen(*map(one, provisions)) is wanted


def test_a_permit_takes_nothing_from_those_it_does_not_name() -> None:
    assert seen(one(rule("permit", to=(ONE,), label=("SUD",))), to=(TWO,), label=0)
    assert seen(one(rule("permit", to=(ONE,), purpose=("HPAYMT",))), label=0)


def test_a_practitioner_role_is_the_person_in_that_organization() -> None:
    (row,) = made(rule("permit", to=("PractitionerRole/r",), label=("SUD",))).rules
    assert (row.actor, row.also) == (KEYS.resource(PERSON), KEYS.resource(ONE))
    facts = Facts(1, "Condition", KEYS.resource("Patient/a"), SUD)
    for to, wanted in (((PERSON, ONE), True), ((PERSON, TWO), False), ((ONE,), False)):
        asker = Asker(Relation.PANEL, frozenset(map(KEYS.resource, to)), ("TREAT",), NOW_US)
        assert isinstance(decide(asker, facts, [row]), Permit) is wanted


def test_the_caller_is_person_organization_and_what_that_is_part_of() -> None:
    caller = Caller("c", Role.LCM, ONE, PERSON, above=("Organization/group", "Organization/network"))
    assert actors_of(caller, KEYS) == tuple(
        map(KEYS.resource, (PERSON, ONE, "Organization/group", "Organization/network"))
    )
    assert actors_of(Caller("c", Role.MCP, TWO), KEYS) == (KEYS.resource(TWO),)


@pytest.mark.parametrize(
    ("purpose", "found"),
    [
        ("BTG", ("BTG", "ETREAT", "TREAT", "PurposeOfUse")),
        ("COC", ("COC", "TREAT", "PurposeOfUse")),
        ("CAREMGT", ("CAREMGT", "HOPERAT", "PurposeOfUse")),
        ("PurposeOfUse", ("PurposeOfUse",)),
        ("FUN", ()),
    ],
)
def test_a_purpose_is_covered_by_those_that_include_it(purpose: str, found: tuple[str, ...]) -> None:
    assert purposes_of(purpose) == found


def test_a_consent_for_a_purpose_covers_what_lies_below_it_only() -> None:
    assert seen(one(rule("permit", purpose=("TREAT",), label=("SUD",))), purpose="COC")
    assert not seen(one(rule("permit", purpose=("COC",), label=("SUD",))), purpose="TREAT")


def test_open_periods_reach_as_far_as_time() -> None:
    (row,) = made(rule("permit")).rules
    assert (row.start_us, row.end_us) == (MIN_US, MAX_US)


def test_a_confidentiality_alone_is_opened_by_a_consent_that_names_it() -> None:
    r, v = GRADES["R"], GRADES["V"]
    for named, opens in ((("R",), {r: True, v: False}), (("V",), {r: True, v: True}), (("SUD",), {r: False, v: False})):
        rules = one(rule("permit", label=named))
        assert {bit: seen(rules, label=bit) for bit in (r, v)} == opens, named
    for named in ("R", "V"):
        assert not seen(one(rule("permit", label=(named,))), label=1 << 15), "what is not known to us stays closed"
        assert not seen(one(rule("permit", label=(named,))), label=SUD), "nor does it open a group"
