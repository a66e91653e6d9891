"""What a Consent decision must be, from the law's words, case by case: written without looking at the engine.

HIPAA lets those who treat, pay for and run the care have a patient's record. 42 CFR Part 2 and California law want the
patient's consent for records of substance use, and for what else bears a label. A consent names who, for what, which.
"""

TREATMENT = {"TREAT", "COC", "BTG"}
"""Purposes of the table that are treatment, emergencies included (v3-ActReason)."""


def oracle(role: str, relation: str, purpose: str, labels: frozenset[str], consent: str, glass: bool) -> bool:
    """Whether the caller may have it. role: who the organization is; the consent of the table is for the ECM provider,
    its people and a CareTeam with the community organization in it, for treatment, of substance use and its Part 2
    records."""
    if relation == "none":
        return False
    if relation == "author":
        return True
    if consent == "deny":
        # A refusal of substance-use records to all; nothing else is refused.
        refused = labels & {"SUD", "42CFRPart2"}
        if refused and not glass:
            return False
    if not labels:
        return True
    if glass:
        # An emergency (2.51) opens what the form says: all but psychotherapy notes.
        return "PSYTHPN" not in labels
    if consent in ("none", "expired", "revoked", "other recipient", "uninterpretable", "deny"):
        return False
    if consent == "permit":
        if role in ("plan", "referrer", "hospital"):
            return False
        if role in ("ecm-provider", "lead care manager", "community organization"):
            if purpose not in TREATMENT:
                return False
            for label in labels:
                if label == "SUD" or label == "42CFRPart2":
                    continue
                return False
            return True
    raise AssertionError(consent)
