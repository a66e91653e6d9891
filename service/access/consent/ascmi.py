"""ASCMI forms as Consents and back: what each box of the paper says, as a table. Pure.

ASCMI is the Authorization to Share Confidential Member Information of California's DHCS. The form's own text was not at
hand: boxes and URIs are drafts (../shared/facts/closed-loop.md 4.6, ../shared/decisions.md 29). Psychotherapy notes are
on no such form: they need a consent of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_profiles import Resource
from service.access.consent.rules import ACT
from service.search.purposes import SYSTEM as PURPOSE_OF_USE

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
POLICY = "https://enlace.example.org/fhir/policy/ascmi-"

FORMS: dict[str, str] = {
    "ab-133": "Medi-Cal members (AB 133)",
    "non-ab-133": "anybody in California",
    "revocation": "takes back a former form: nothing is shared any more",
}
BOXES: dict[str, tuple[str, ...]] = {
    "substance-use": ("SUD", "42CFRPart2"),
    "mental-health": ("MH",),
    "hiv": ("HIV",),
    "reproductive-health": ("SEX",),
    "domestic-violence": ("SDV",),
}
"""Box of the form -> the labels that it is about (service/access/labels.py GROUPS)."""
PURPOSES = ("TREAT", "HPAYMT", "HOPERAT")
"""Treatment with the coordination of care, payment, operations with care management."""
RECIPIENT: Resource = {"coding": [{"system": f"{TERMINOLOGY}/v3-ParticipationType", "code": "IRCP"}]}


@dataclass(frozen=True)
class Form:
    """A form as filled in. member, signer, organization, partners, replaces: relative references.

    boxes: box -> shared or not; one that is left empty is not shared. partners: who receives, (): all care partners.
    until: last day. replaces: the Consent of the form before.
    """

    kind: str
    member: str
    signed: str
    signer: str
    organization: str
    share: bool
    boxes: Mapping[str, bool] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    until: str = ""
    replaces: str = ""


def consent_of(form: Form) -> Resource:
    """The Consent of a form, to be POSTed. Not to share is a refusal of every box."""
    boxes = {name: form.share and form.boxes[name] for name in BOXES if not form.share or name in form.boxes}
    root: Resource = {"type": "permit" if form.share else "deny"}
    if form.until:
        root["period"] = {"end": form.until}
    if form.share:
        root["purpose"] = [{"system": PURPOSE_OF_USE, "code": code} for code in PURPOSES]
        if form.partners:
            root["actor"] = [{"role": RECIPIENT, "reference": {"reference": one}} for one in form.partners]
    if boxes:
        root["provision"] = [
            {
                "type": "permit" if shared else "deny",
                "securityLabel": [{"system": ACT, "code": code} for code in BOXES[name]],
            }
            for name, shared in boxes.items()
        ]
    consent: Resource = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": f"{TERMINOLOGY}/consentscope", "code": "patient-privacy"}]},
        "category": [
            {"coding": [{"system": "http://loinc.org", "code": "59284-0"}]},
            {"coding": [{"system": ACT, "code": "IDSCL"}]},
        ],
        "patient": {"reference": form.member},
        "dateTime": form.signed,
        "performer": [{"reference": form.signer}],
        "organization": [{"reference": form.organization}],
        "policy": [{"uri": f"{POLICY}{form.kind}-draft"}],
        "verification": [{"verified": True, "verificationDate": form.signed}],
        "provision": root,
    }
    return consent | ({"sourceReference": {"reference": form.replaces}} if form.replaces else {})


def form_of(consent: Resource) -> Form | None:
    """The form that a Consent stands for; None where it is no ASCMI form, or says what no form can say."""
    kinds = [kind for kind in FORMS if {"uri": f"{POLICY}{kind}-draft"} in consent.get("policy", ())]
    if not kinds or consent.get("status") != "active":
        return None
    root = consent.get("provision", {})
    asked = {frozenset(codes): name for name, codes in BOXES.items()}
    boxes: dict[str, bool] = {}
    for nested in root.get("provision", ()):
        name = asked.get(frozenset(label.get("code") for label in nested.get("securityLabel", ())))
        if name is not None:
            boxes[name] = nested.get("type") == "permit"
    share = root.get("type") == "permit"
    form = Form(
        kinds[0],
        consent.get("patient", {}).get("reference", ""),
        consent.get("dateTime", ""),
        next((one.get("reference", "") for one in consent.get("performer", ())), ""),
        next((one.get("reference", "") for one in consent.get("organization", ())), ""),
        share,
        boxes if share else {},
        tuple(one.get("reference", {}).get("reference", "") for one in root.get("actor", ())),
        root.get("period", {}).get("end", ""),
        consent.get("sourceReference", {}).get("reference", ""),
    )
    said = {name: value for name, value in consent.items() if name not in ("id", "meta", "text")}
    return form if consent_of(form) == said else None


def revocation_of(form: Form, consent: str, signed: str) -> Form:
    """The form that takes back this one. consent: its Consent."""
    return Form("revocation", form.member, signed, form.signer, form.organization, share=False, replaces=consent)
