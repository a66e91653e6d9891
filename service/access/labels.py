"""Sensitivity of a resource as bits: what meta.security says (HL7 DS4P), and what the codes in the resource say.

Code lists are drafts (../shared/decisions.md 29; fhir_profiles/value_sets/sensitive-*.json); a label that is not listed
counts as RESTRICTED. What follows from the source and from references is added at the commit (store/label_rules.py).
"""

from collections.abc import Iterable
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from fhir_profiles.sensitive_codes import groups_in
from service.search.clearance import GENERAL as GENERAL
from service.search.clearance import GRADED, GRADES, LABEL_BITS, high_water

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
BY_RULE = "https://enlace.example.org/fhir/StructureDefinition/enlace-label-by-rule"
"""Extension of a label that we put on what leaves; it is not stored, and taken off again where it comes back."""

GROUPS: dict[str, frozenset[str]] = {
    "sud": frozenset({"SUD", "ETH", "ETHUD", "OPIOIDUD"}),
    "mental-health": frozenset({"MH", "BH", "PSY", "SPI"}),
    "reproductive": frozenset({"SEX", "STD", "GENDER"}),
    "violence": frozenset({"SDV", "VIO", "DVD"}),
    "hiv": frozenset({"HIV"}),
    "part2": frozenset({"42CFRPart2", "NORDSCLCD"}),
    "psychotherapy-notes": frozenset({"PSYTHPN"}),
    "r": frozenset(),
    "v": frozenset(),
}
"""Group -> its codes of v3-ActCode; "r" and "v": a confidentiality without a reason (service/search/clearance.py).

The database holds a bit for each, by its place here: append, never reorder."""
BITS = {group: 1 << number for number, group in enumerate(GROUPS)}
RESTRICTED = 1 << (LABEL_BITS - 1)
"""A label that no group lists: nothing clears it. The last bit of all, so that groups can be added."""
SENSITIVE = sum(BITS.values()) | RESTRICTED
PART2, SUD, PSYTHPN = BITS["part2"], BITS["sud"], BITS["psychotherapy-notes"]

OPEN_CONFIDENTIALITY = frozenset({"U", "L", "M", "N"})
HARMLESS_SYSTEMS = frozenset({"http://terminology.hl7.org/CodeSystem/v3-ActReason"})
HANDLING = frozenset({"CPLYCD", "PERSISTLABEL", "REDACT", "MASK", "NODSCLCD", "CTCOMPT"})
"""Codes of v3-ActCode that say what to do with data, not that it is sensitive."""
SHOWN = {
    "mental-health": "MH",
    "reproductive": "SEX",
    "violence": "SDV",
    "part2": "42CFRPart2",
    "psychotherapy-notes": "PSYTHPN",
}
"""Group -> the code by which we show it, where it is not the group's name in capitals."""
_BIT = {code: BITS[group] for group, codes in GROUPS.items() for code in codes}


def labels(resource: Resource, text: tuple[bytes, ...] = ()) -> int:
    """Bits of a resource and of what it contains (high-water mark). text: the resource as JSON, where it is there."""
    bits = said(resource)
    for part in resource.get("contained") or ():
        bits |= said(part)
    for group in groups_in(resource, text or (write_json(resource),)):
        bits |= BITS[group]
    return high_water(bits)


def said(resource: Resource) -> int:
    """Bits of meta.security alone."""
    bits = 0
    for coding in (resource.get("meta") or {}).get("security") or ():
        bits |= bit_of(coding)
    return bits


def bit_of(coding: Any) -> int:
    """The bit of one label; 0 for what is no sensitivity."""
    system, code = coding.get("system"), coding.get("code")
    if system == CONFIDENTIALITY:
        return 0 if code in OPEN_CONFIDENTIALITY else GRADES.get(code, RESTRICTED)
    if system in HARMLESS_SYSTEMS or (system == ACT and code in HANDLING):
        return 0
    return _BIT.get(code, RESTRICTED) if system == ACT else RESTRICTED


def group_names(bits: int) -> tuple[str, ...]:
    """The groups of these bits, as people and commands call them."""
    found = tuple(group for group, bit in BITS.items() if bits & bit)
    return (*found, *(("restricted",) if bits & RESTRICTED else ()))


def bits_of(groups: Iterable[str]) -> int:
    """Raises KeyError for a name that is no group."""
    return sum({RESTRICTED if group == "restricted" else BITS[group] for group in groups})


def carried(old: Resource, new: Resource) -> Resource:
    """The new version with the labels of the former one that it left out: a sender raises, never lowers.

    A normal confidentiality gives way to another one: a resource has one.
    """
    security = (new.get("meta") or {}).get("security") or []
    there = {(label.get("system"), label.get("code")) for label in security}
    graded = any(label.get("system") == CONFIDENTIALITY for label in security)
    kept = [
        label
        for label in (old.get("meta") or {}).get("security") or ()
        if (label.get("system"), label.get("code")) not in there
        and (bit_of(label) or not graded or label.get("system") != CONFIDENTIALITY)
    ]
    return _with(new, [*security, *kept]) if kept else new


def unstamped(resource: Resource) -> Resource:
    """Without the labels that we put on what we sent out."""
    security = (resource.get("meta") or {}).get("security")
    if not isinstance(security, list) or not any(_is_stamp(label) for label in security):
        return resource
    return _with(resource, [label for label in security if not _is_stamp(label)])


def stamped(resource: Resource, bits: int, more: tuple[str, ...] = ()) -> Resource:
    """With a label for each group of `bits` that meta.security does not say already, and the codes of `more`."""
    security = (resource.get("meta") or {}).get("security") or []
    codes, unsaid = {label.get("code") for label in security}, bits & ~said(resource)
    named = group_names(unsaid & ~GRADED & ~RESTRICTED)
    wanted = [SHOWN.get(group, group.upper()) for group in named]
    stamps = [_stamp(ACT, code) for code in (*wanted, *more) if code not in codes]
    if unsaid and not any(label.get("system") == CONFIDENTIALITY for label in security):
        stamps.append(_stamp(CONFIDENTIALITY, "V" if unsaid & GRADES["V"] else "R"))
    return _with(resource, [*security, *stamps]) if stamps else resource


def _stamp(system: str, code: str) -> dict[str, Any]:
    return {"extension": [{"url": BY_RULE, "valueBoolean": True}], "system": system, "code": code}


def _is_stamp(label: Any) -> bool:
    extensions = label.get("extension") if isinstance(label, dict) else None
    return isinstance(extensions, list) and any(isinstance(e, dict) and e.get("url") == BY_RULE for e in extensions)


def _with(resource: Resource, security: list[Any]) -> Resource:
    meta = {name: value for name, value in (resource.get("meta") or {}).items() if name != "security"}
    if security:
        meta["security"] = security
    rest = {name: value for name, value in resource.items() if name != "meta"}
    made: Resource = {name: rest.pop(name) for name in ("resourceType", "id") if name in rest}
    return made | ({"meta": meta} if meta else {}) | rest
