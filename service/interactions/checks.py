"""What create, update and $validate check alike: structure, bindings, references. All problems at once."""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from fhir_profiles.validate import validate
from service.access.context import Context
from service.access.labels import unstamped
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.search.values import patient_of
from service.store import panels
from service.store.break_glass import only_in_emergency

_UNKNOWN = "The reference does not resolve. Create the target first, or refer to it by identifier."


def check_structure(resource: Any, rtype: str) -> Resource:
    """400 where the resource is not one of this type in R4 shape, 422 where it breaks a rule of R4."""
    if not isinstance(resource, dict):
        raise FhirError(Category.MALFORMED, f"The body must be one JSON object, a {rtype} resource.")
    if resource.get("resourceType") != rtype:
        text = f"resourceType must be {rtype}, as in the URL."
        raise FhirError(Category.MALFORMED, [Issue(text, "resourceType", "structure")])
    problems = [p for p in validate(resource, rtype) if p.severity in ("error", "fatal")]
    if problems:
        category = Category.MALFORMED if any(p.structural for p in problems) else Category.RULE
        raise FhirError(category, [Issue(p.diagnostics, p.expression, p.code) for p in problems])
    resource = unstamped(resource)
    if any(tag.get("code") == "SUBSETTED" for tag in (resource.get("meta") or {}).get("tag") or ()):
        text = "This is a part of a resource (_summary, _elements): written back it would lose the rest. Read it whole."
        raise FhirError(Category.RULE, [Issue(text, f"{rtype}.meta.tag", "business-rule")], reason="subsetted")
    return unstamped(resource)


def references(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(expression, reference as written) of every Reference.reference in the resource, contained ones included."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield path, inner
            elif isinstance(inner, dict | list):
                yield from references(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from references(inner, f"{path}[{number}]")


async def check_references(ctx: Context, new: Resource, old: Resource | None) -> None:
    """422 for each new reference that leads to nothing the writer may see: absent and foreign are the same.

    References that the former version held already are not looked at again. A reference to another server stays.
    """
    rtype = new["resourceType"]
    known = {reference for _, reference in references(old or {}, "")}
    wanted: dict[str, list[str]] = {}
    for path, written in references(new, rtype):
        target = normal_reference(written, ctx.settings.base_url)
        if written in known or target is None or "://" in target:
            continue
        wanted.setdefault(target, []).append(path)
    missing = await _missing(ctx, list(wanted))
    issues = [Issue(_UNKNOWN, path, "not-found") for target in missing for path in wanted[target]]
    if issues:
        raise FhirError(Category.RULE, sorted(issues, key=lambda issue: issue.expression or ""), reason="reference")


async def _missing(ctx: Context, targets: list[str]) -> list[str]:
    served = [t for t in targets if t in ctx.pending or t.partition("/")[0] in catalog().types]
    found = await ctx.standing(served) if served else set()
    missing = [t for t in targets if t not in found]
    if not missing or ctx.restriction.unrestricted:
        return missing
    # A party that may not read the Patient may still write about the member that it works for.
    patients = [t for t in missing if t.startswith("Patient/")]
    mine = await panels.has_patients(ctx.store, patients, ctx.restriction)
    return [t for t in missing if t not in mine]


async def check_patient(ctx: Context, new: Resource, old: Resource | None) -> None:
    """422 where a resource is moved to another patient's record: that needs a new resource.

    403 where a person has the patient by an emergency access alone.
    """
    base = ctx.settings.base_url
    if old is not None and patient_of(old, old["resourceType"], base) != patient_of(new, new["resourceType"], base):
        text = "The patient of a resource cannot be changed. Delete it and create one for the other patient."
        raise FhirError(Category.RULE, [Issue(text, new["resourceType"], "business-rule")], reason="patient")
    patient = patient_of(new, new["resourceType"], base) if ctx.caller.person else None
    if patient is None or ctx.restriction.unrestricted:
        return
    if await only_in_emergency(ctx.store, ctx.store.keys.resource(patient), ctx.restriction):
        text = "An emergency access reads and does not write: the member's plan assigns who writes."
        raise FhirError(Category.FORBIDDEN, [Issue(text, new["resourceType"], "forbidden")], reason="emergency")
