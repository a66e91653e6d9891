"""Purposes of use as data. Source: v3-ActReason (HL7 terminology), the tree below PurposeOfUse.

A rule that names a purpose covers those below it: a Consent for TREAT covers COC, one for BTG does not cover TREAT.
"""

from functools import lru_cache

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

TREE: dict[str, tuple[str, ...]] = {
    "PurposeOfUse": ("HMARKT", "HOPERAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH", "TREAT"),
    "TREAT": ("CLINTRL", "COC", "ETREAT", "POPHLTH"),
    "ETREAT": ("BTG", "ERTREAT"),
    "HPAYMT": ("CLMATTCH", "COVAUTH", "COVERAGE", "REMITADV"),
    "COVERAGE": ("ELIGDTRM", "ELIGVER", "ENROLLM"),
    "HOPERAT": (
        "CAREMGT",
        "DONAT",
        "FRAUD",
        "GOV",
        "HACCRED",
        "HCOMPL",
        "HDECD",
        "HDIRECT",
        "HDM",
        "HLEGAL",
        "HOUTCOMS",
        "HPRGRP",
        "HQUALIMP",
        "HSYSADMIN",
        "MEMADMIN",
        "PATADMIN",
        "PATSFTY",
        "PERFMSR",
        "RECORDMGT",
        "TRAIN",
    ),
    "PATRQT": ("FAMRQT", "PWATRNY", "SUPNWK"),
    "PUBHLTH": ("DISASTER", "THREAT"),
    "HRESCH": ("BIORCH", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH", "TRANSRCH"),
}
_PARENT = {child: parent for parent, children in TREE.items() for child in children}
KNOWN = frozenset({*_PARENT, *TREE})


@lru_cache(maxsize=256)
def purposes_of(purpose: str) -> tuple[str, ...]:
    """The purpose and all that include it, nearest first; a purpose that is not known is covered by none: ()."""
    if purpose not in KNOWN:
        return ()
    found = [purpose]
    while found[-1] in _PARENT:
        found.append(_PARENT[found[-1]])
    return tuple(found)


def includes(wider: str, purpose: str) -> bool:
    """Whether a rule for the wider purpose covers this one."""
    return wider in purposes_of(purpose)
