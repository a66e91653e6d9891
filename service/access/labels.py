"""Sensitivity labels of a resource as bits. Source: v3-ActCode and v3-Confidentiality in meta.security (HL7 DS4P).

Code lists are drafts (../shared/decisions.md 29); a label that is not listed counts as the last bit: restricted.
"""

from fhir_profiles import Resource

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

GROUPS: dict[str, frozenset[str]] = {
    "sud": frozenset({"SUD", "ETH", "ETHUD", "OPIOIDUD", "42CFRPart2"}),
    "mental-health": frozenset({"MH", "BH", "PSY", "PSYTHPN", "SPI"}),
    "reproductive": frozenset({"SEX", "STD", "GENDER"}),
    "violence": frozenset({"SDV", "VIO", "DVD"}),
    "hiv": frozenset({"HIV"}),
}
OPEN_CONFIDENTIALITY = frozenset({"U", "L", "M", "N"})
HARMLESS_SYSTEMS = frozenset({"http://terminology.hl7.org/CodeSystem/v3-ActReason"})
RESTRICTED = 1 << len(GROUPS)
_BIT = {code: 1 << number for number, codes in enumerate(GROUPS.values()) for code in codes}


def labels(resource: Resource) -> int:
    """Bits of the sensitivity groups in meta.security, of the resource and of what it contains (high-water mark)."""
    bits = 0
    for part in (resource, *(resource.get("contained") or ())):
        for coding in (part.get("meta") or {}).get("security") or ():
            system, code = coding.get("system"), coding.get("code")
            if system == _CONFIDENTIALITY:
                bits |= 0 if code in OPEN_CONFIDENTIALITY else RESTRICTED
            elif system not in HARMLESS_SYSTEMS:
                bits |= _BIT.get(code, RESTRICTED) if system == _ACT else RESTRICTED
    return bits
