"""Consents for tests: their parts by short names."""

from typing import Any

from tests.service.world import make, ref

Resource = dict[str, Any]
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
ACT, CONFIDENTIALITY = f"{TERMINOLOGY}/v3-ActCode", f"{TERMINOLOGY}/v3-Confidentiality"


def purposes(*codes: str) -> list[Resource]:
    return [{"system": f"{TERMINOLOGY}/v3-ActReason", "code": code} for code in codes]


def labels(*codes: str) -> list[Resource]:
    return [{"system": CONFIDENTIALITY if len(code) == 1 else ACT, "code": code} for code in codes]


def actors(*references: str) -> list[Resource]:
    role = {"coding": [{"system": f"{TERMINOLOGY}/v3-ParticipationType", "code": "IRCP"}]}
    return [{"role": role, "reference": ref(reference)} for reference in references]


def rule(
    kind: str | None,
    *nested: Resource,
    to: tuple[str, ...] = (),
    purpose: tuple[str, ...] = (),
    label: tuple[str, ...] = (),
    **more: Any,
) -> Resource:
    """A provision. kind: permit, deny or None."""
    parts: Resource = {"type": kind} if kind else {}
    parts |= {"actor": actors(*to)} if to else {}
    parts |= {"purpose": purposes(*purpose)} if purpose else {}
    parts |= {"securityLabel": labels(*label)} if label else {}
    parts |= more
    return {**parts, "provision": list(nested)} if nested else parts


def consent(
    reference: str, provision: Resource | None, member: str = "Patient/a", status: str = "active", **more: Any
) -> Resource:
    parts: Resource = {
        "status": status,
        "scope": {"coding": [{"system": f"{TERMINOLOGY}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": ACT, "code": "IDSCL"}]}],
        "patient": ref(member),
        "dateTime": "2026-02-01T10:00:00Z",
        "policy": [{"uri": "https://example.org/policy"}],
        "verification": [{"verified": True}],
        **({"provision": provision} if provision is not None else {}),
    }
    return make(reference, **(parts | more))


def of_class(*rtypes: str) -> list[Resource]:
    return [{"system": "http://hl7.org/fhir/resource-types", "code": rtype} for rtype in rtypes]


def of_data(meaning: str, *references: str) -> list[Resource]:
    return [{"meaning": meaning, "reference": ref(reference)} for reference in references]
