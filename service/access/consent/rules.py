"""What a decision is made from and what comes of it: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.access import labels
from service.access.labels import ACT as ACT
from service.access.labels import CONFIDENTIALITY as CONFIDENTIALITY
from service.access.labels import SENSITIVE as SENSITIVE
from service.search.clearance import GENERAL as GENERAL
from service.search.clearance import Rule as Rule

PART_2 = labels.SUD | labels.PART2
"""Substance use: what 42 CFR Part 2 may protect."""


def bits_of(system: str, code: str) -> int:
    """The bit of a resource that bears this one label."""
    return labels.bit_of({"system": system, "code": code})


class Relation(StrEnum):
    """How the caller stands to the resource, Consents aside: decided by role and panel (service/store/visible.py)."""

    NONE = "none"
    PANEL = "panel"
    """Of the record of a patient in the caller's panel; or it names the caller."""
    VIEW = "view"
    """As PANEL, but a minimum view only."""
    AUTHOR = "author"
    """The caller's organization wrote it."""


class Obligation(StrEnum):
    """What goes with a Permit. MASK is not used: no label lies within a resource, so none is shown in part."""

    REDISCLOSURE_NOTICE = "REDISCLOSURE_NOTICE"
    AUDIT_DISCLOSURE = "AUDIT_DISCLOSURE"
    MIN_VIEW = "MIN_VIEW"
    MASK = "MASK"


@dataclass(frozen=True)
class Asker:
    """Who asks, for what, when. actors: keys, those of the patient's CareTeams that the caller is in now included."""

    relation: Relation
    actors: frozenset[int] = frozenset()
    purposes: tuple[str, ...] = ()
    now_us: int = 0


@dataclass(frozen=True)
class Facts:
    """What is known of the resource. refers_to, referred_by: keys over the references of current versions."""

    key: int
    rtype: str
    patient: int | None
    labels: int = 0
    source_org: int = 0
    refers_to: frozenset[int] = frozenset()
    referred_by: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Reason:
    """rule: which rule of law or of this service; where it is CONSENT, `consent` and `number` say which row."""

    rule: str
    consent: int = 0
    number: int = 0


NO_RELATION = Reason("no-relation")
AUTHOR = Reason("author")
RELATION = Reason("treatment-payment-operations")
"""HIPAA: those who care for, pay for or run the care of the patient."""
BREAK_GLASS = Reason("break-glass")
NOT_NAMED = Reason("no-consent-names-the-label")


@dataclass(frozen=True)
class Permit:
    reasons: tuple[Reason, ...]
    obligations: frozenset[Obligation] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Deny:
    reasons: tuple[Reason, ...]


Verdict = Permit | Deny
Roles = Mapping[str, tuple[str, str]]
"""PractitionerRole -> (its Practitioner, its Organization), as relative references."""
