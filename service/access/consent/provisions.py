"""One provision of a Consent as a frame: what it names, in keys and bits, or why it cannot be interpreted.

Source: https://hl7.org/fhir/R4/consent.html and IHE PCF 1.1 (../shared/facts/closed-loop.md 4.1, 4.2). Inside one
element any value fits, elements together must all fit, an absent one fits always.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from service.access.consent.rules import ACT, CONFIDENTIALITY, GENERAL, SENSITIVE, Roles, bits_of
from service.access.labels import GROUPS, OPEN_CONFIDENTIALITY
from service.search import dates, purposes
from service.search.clearance import DataKind
from service.search.keys import Keys
from service.search.references import normal_reference

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
RECEIVES = frozenset({"IRCP", "PRCP"})
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
SHARING = frozenset({"access", "disclose", "use"})
OTHER_ACTIONS = frozenset({"collect", "correct"})
CLASSES = "http://hl7.org/fhir/resource-types"
MEANINGS = {
    "instance": DataKind.INSTANCE,
    "related": DataKind.RELATED,
    "dependents": DataKind.DEPENDENTS,
    "authoredby": DataKind.AUTHORED_BY,
}
ACTORS = ("Organization", "Practitioner", "CareTeam", "Patient", "RelatedPerson")
CONFIDENTIAL = ("R", "V")
_SENSITIVITIES = frozenset(code for codes in GROUPS.values() for code in codes) - {"NORDSCLCD"}
"""What a Consent may name; a refrain goes with data, it names none."""

Actor = tuple[int, int]
"""(key, second key that the same caller must bear, or 0)"""


@dataclass(frozen=True)
class Source:
    """keys: of the database. base_url: absolute references below it are ours. roles: PractitionerRoles as looked up.

    writers: the organization that wrote the Consent and those above it; none: nobody who could serve itself.
    """

    keys: Keys
    base_url: str = ""
    roles: Roles = field(default_factory=dict)
    writers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Frame:
    """None: the element is absent. shares: whether its actions are about sharing at all."""

    period: dates.Range = (dates.MIN_US, dates.MAX_US)
    actors: tuple[Actor, ...] | None = None
    purposes: tuple[str, ...] | None = None
    labels: int | None = None
    rtypes: tuple[str, ...] | None = None
    data: tuple[tuple[int, int], ...] | None = None
    shares: bool = True


T = TypeVar("T")
Problems = list[str]
"""Sentences that name the element and what cannot be done with it; no value of the Consent is in them."""


def frame(provision: Resource, path: str, source: Source, problems: Problems) -> Frame:
    """What the provision itself names; its problems are added to `problems`."""
    denies = provision.get("type") == "deny"
    for element in ("modifierExtension", "code", "dataPeriod"):
        if provision.get(element):
            problems.append(f"{path}.{element}: rules with this element are not enforced here.")
    actions = _codings(provision, "action", path, _action, problems)
    return Frame(
        period=_period(provision, path, problems),
        actors=_each(provision, "actor", path, lambda one: _actor(one, source), problems),
        purposes=_codings(provision, "purpose", path, _purpose, problems),
        labels=_labels(provision, path, denies=denies, problems=problems),
        rtypes=_codings(provision, "class", path, _class, problems),
        data=_each(provision, "data", path, lambda one: _data(one, source), problems),
        shares=actions is None or True in actions,
    )


def _period(provision: Resource, path: str, problems: Problems) -> dates.Range:
    value = provision.get("period")
    found = dates.period(value) if value else (dates.MIN_US, dates.MAX_US)
    if found is None:
        problems.append(f"{path}.period: it has no start and no end that can be read.")
    return found or (dates.MIN_US, dates.MAX_US)


def _each(
    provision: Resource, element: str, path: str, read: Callable[[Any], T | None], problems: Problems
) -> tuple[T, ...] | None:
    """What each value of the element stands for; None where there is none."""
    values = provision.get(element)
    if not values:
        return None
    found = [read(one) for one in values]
    problems += [f"{path}.{element}[{number}]: {_WHY[element]}" for number, one in enumerate(found) if one is None]
    return tuple(one for one in found if one is not None)


def _codings(
    provision: Resource, element: str, path: str, read: Callable[[str, str], T | None], problems: Problems
) -> tuple[T, ...] | None:
    """As _each, of elements of type Coding or CodeableConcept; of the codings of a concept one that is known does."""

    def one(value: Any) -> T | None:
        return next((found for system, code in _pairs(value) if (found := read(system, code)) is not None), None)

    return _each(provision, element, path, one, problems)


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    for coding in value.get("coding", (value,)):
        yield coding.get("system", ""), coding.get("code", "")


_WHY = {
    "actor": "who receives must be an Organization, Practitioner, PractitionerRole or CareTeam of this service, "
    "with the role IRCP.",
    "purpose": "the purpose of use is not one of v3-ActReason that this service knows.",
    "action": "the action is not one of consentaction.",
    "securityLabel": "the label is not in a group of labels that this service keeps apart.",
    "class": "the class is not a resource type of this service.",
    "data": "it must refer to a resource of this service; authoredby to an Organization.",
}


def _action(system: str, code: str) -> bool | None:
    known = system == ACTION and code in SHARING | OTHER_ACTIONS
    return code in SHARING if known else None


def _purpose(system: str, code: str) -> str | None:
    return code if system == purposes.SYSTEM and code in purposes.KNOWN else None


def _class(system: str, code: str) -> str | None:
    return code if system == CLASSES and code in catalog().types else None


def _labels(provision: Resource, path: str, *, denies: bool, problems: Problems) -> int | None:
    found = _codings(provision, "securityLabel", path, _denied if denies else _permitted, problems)
    if found is None:
        return None
    bits = 0
    for one in found:
        bits |= one
    return bits


def _permitted(system: str, code: str) -> int | None:
    """A confidentiality is a high-water mark: V covers R. The bit of what is not known to us is never opened."""
    if system == ACT and code in _SENSITIVITIES:
        return bits_of(system, code)
    if system != CONFIDENTIALITY or code not in {*OPEN_CONFIDENTIALITY, *CONFIDENTIAL}:
        return None
    if code in OPEN_CONFIDENTIALITY:
        return GENERAL
    covered = CONFIDENTIAL if code == "V" else (code,)
    return GENERAL | sum(bits_of(system, one) for one in covered)


def _denied(system: str, code: str) -> int | None:
    """To deny what is restricted denies every label."""
    if system == CONFIDENTIALITY and code in CONFIDENTIAL:
        return SENSITIVE
    return _permitted(system, code)


def _reference(value: Any, source: Source) -> str | None:
    """The relative reference, None for what is not a literal reference into this service."""
    written = value.get("reference")
    found = normal_reference(written, source.base_url) if isinstance(written, str) else None
    return None if found is None or "://" in found else found


def _actor(value: Any, source: Source) -> Actor | None:
    roles = set(_pairs(value["role"]))
    reference = _reference(value["reference"], source)
    if reference is None or not roles & {(PARTICIPATION, code) for code in RECEIVES}:
        return None
    if reference in source.roles:
        person, organization = source.roles[reference]
        return source.keys.resource(person), source.keys.resource(organization)
    return (source.keys.resource(reference), 0) if reference.partition("/")[0] in ACTORS else None


def _data(value: Any, source: Source) -> tuple[int, int] | None:
    kind, reference = MEANINGS.get(value.get("meaning")), _reference(value["reference"], source)
    if kind is None or reference is None:
        return None
    if kind is DataKind.AUTHORED_BY and not reference.startswith("Organization/"):
        return None
    return int(kind), source.keys.resource(reference)
