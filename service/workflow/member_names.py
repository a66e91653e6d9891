"""A member in few words, where more of the name is not needed."""

from fhir_profiles import Resource


def short_name(patient: Resource) -> str:
    """First given name and initial of the family name: enough to know whom, little enough for a line of an inbox."""
    names = patient.get("name") or [{}]
    name = next((n for n in names if n.get("use") == "official"), names[0])
    given, family = " ".join(name.get("given", [])[:1]), str(name.get("family", ""))
    return " ".join(part for part in (given, f"{family[:1]}." if family else "") if part) or "A member"
