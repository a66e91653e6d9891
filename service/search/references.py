"""References in the one form under which they are indexed and searched.

Source: https://hl7.org/fhir/R4/references.html and https://hl7.org/fhir/R4/search.html#reference
"""


def normal_reference(reference: str, base_url: str) -> str | None:
    """Type/id for a reference into this server, else the absolute URL; versions stripped.

    None for what names nothing outside its document: contained (#x), urn: and conditional (Type?search) references.
    """
    if reference[:1] == "#" or "?" in reference:
        return None
    if ":" in reference:
        if reference.startswith("urn:"):
            return None
        prefix = base_url.rstrip("/") + "/"
        if len(prefix) > 1 and reference.startswith(prefix):
            reference = reference[len(prefix) :]
    if "/_history/" in reference:
        reference = reference[: reference.index("/_history/")]
    return reference if "/" in reference else None


def normal_canonical(value: str, base_url: str) -> str | None:
    """A canonical (with its |version) as indexed: "Type/id" under our own base, else as it is."""
    prefix = base_url.rstrip("/") + "/"
    if len(prefix) > 1 and value.startswith(prefix):
        return value[len(prefix) :]
    return None if value.startswith("#") or not value else value


def type_of(reference: str) -> str:
    """The resource type in a reference as normal_reference gives it: the part before the id."""
    return reference.rsplit("/", 2)[-2]
