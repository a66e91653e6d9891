"""Random Consents, callers and resources of a small cast, the same for the same seed: sensible ones and senseless."""

from random import Random
from typing import Any

from service.access.consent.who import purposes_of
from service.search.purposes import KNOWN
from tests.service.access.consent.consents import consent, of_class, of_data, rule

Resource = dict[str, Any]
ORGANIZATIONS = ("Organization/one", "Organization/two", "Organization/three")
PEOPLE = ("Practitioner/one", "Practitioner/two")
TEAMS = ("CareTeam/one", "CareTeam/two")
RECIPIENTS = (*ORGANIZATIONS, *PEOPLE, *TEAMS)
TYPES = ("Condition", "Observation", "Procedure")
SENSITIVITIES = ("SUD", "42CFRPart2", "MH", "HIV", "SDV", "PSYTHPN")
PURPOSES = ("TREAT", "COC", "BTG", "HPAYMT", "CAREMGT", "HOPERAT")
PERIODS = (
    {"start": "2026"},
    {"end": "2026-02"},
    {"start": "2027"},
    {"end": "2030"},
    {"start": "2026-01", "end": "2026-12"},
)
DATA = tuple(f"{rtype}/{number}" for rtype in TYPES for number in range(3))
UNKNOWN = (
    {"dataPeriod": {"start": "2020"}},
    {"code": [{"text": "x"}]},
    {"securityLabel": [{"system": "urn:x", "code": "SUD"}]},
    {"purpose": [{"system": "urn:x", "code": "TREAT"}]},
    {"class": [{"system": "urn:x", "code": "Condition"}]},
    {"actor": [{"role": {"text": "x"}, "reference": {"reference": "Organization/one"}}]},
    {"action": [{"coding": [{"code": "access"}]}]},
    {"data": [{"meaning": "instance", "reference": {"display": "x"}}]},
    {"period": {"start": "soon"}},
    {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]},
)


def some(random: Random, values: Any, share: float, most: int = 2) -> tuple[Any, ...]:
    return tuple(random.sample(values, random.randint(1, most))) if random.random() < share else ()


def provision(random: Random, depth: int = 0, kind: str | None = "") -> Resource:
    if kind == "":
        kind = random.choice(("permit", "deny"))
    more: Resource = {}
    if random.random() < 0.2:
        more["period"] = random.choice(PERIODS)
    if types := some(random, TYPES, 0.15):
        more["class"] = of_class(*types)
    if random.random() < 0.2:
        meaning = random.choice(("instance", "related", "dependents", "authoredby"))
        more["data"] = of_data(meaning, random.choice(ORGANIZATIONS if meaning == "authoredby" else DATA))
    nested = [provision(random, depth + 1) for _ in range(random.choice((0, 0, 1, 2)) if depth < 3 else 0)]
    return rule(
        kind,
        *nested,
        to=some(random, RECIPIENTS, 0.5),
        purpose=some(random, PURPOSES, 0.3),
        label=some(random, (*SENSITIVITIES, "N", "R"), 0.7, 4),
        **more,
    )


def random_consent(random: Random, number: int, patient: str, *, unknown: float = 0.1) -> Resource:
    root = provision(random)
    if random.random() < unknown:
        root |= random.choice(UNKNOWN)
    status = random.choice(("active", "active", "active", "active", "rejected", "inactive"))
    more = {"verification": [{"verified": random.random() < 0.5}]} if random.random() < 0.1 else {}
    if random.random() < 0.1:
        more["policy"] = [{"uri": "https://enlace.example.org/fhir/policy/ascmi-ab-133-draft"}]
    return consent(f"Consent/{patient.partition('/')[2]}-{number}", root, patient, status, **more)


def random_purposes(random: Random) -> tuple[str, ...]:
    return purposes_of(random.choice((*PURPOSES, *sorted(KNOWN))))
