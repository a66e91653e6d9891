"""What goes into $forward: a Parameters resource as plain data, and its targets looked up in the directory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.operations.parameters import parts, value_of
from service.search.references import normal_reference
from service.workflow.chain_copies import Target, Wanted
from service.workflow.directory_capacity import CAPACITY, standing
from service.workflow.parties import reference_of

FIRST, EACH = "first-completes", "all-complete"
POLICIES = (FIRST, EACH)
PRIORITIES = ("routine", "urgent", "asap", "stat")
MOST_TARGETS = 20
MOST_TEXT = 2000
_NAMES = ("target", "policy", "request", "code", "priority", "note", "due")
_TARGETS = ("Organization/", "HealthcareService/")


@dataclass(frozen=True)
class Asked:
    """targets: relative references. request: of a ServiceRequest to go on with, or ""."""

    targets: tuple[str, ...]
    policy: str = EACH
    request: str = ""
    wanted: Wanted = field(default_factory=Wanted)

    def numbered(self) -> Iterator[tuple[str, str]]:
        """(name for sentences, reference)"""
        for number, one in enumerate(self.targets, 1):
            yield f"target {number}", one

    def named(self, target: Target) -> str:
        """Which target it is, without a value that was sent."""
        names = (name for name, one in self.numbered() if one in (target.organization, target.service))
        return next(names, "A target")


def read(body: Any, base_url: str) -> Asked:
    """Raises MALFORMED with all problems at once."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, list[Any]] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        name, value, place = part.get("name"), value_of(part), f"Parameters.parameter[{number}]"
        if name in ("target", "request"):
            value = _reference(value, base_url)
        if not isinstance(name, str) or name not in _NAMES:
            issues.append(Issue(f"A parameter of $forward is one of {', '.join(_NAMES)}.", place, "not-supported"))
        elif name in found and name != "target":
            issues.append(Issue(f"{name} may stand once.", place, "structure"))
        elif name == "code":
            if not isinstance(value, dict) or not (value.get("text") or value.get("coding")):
                issues.append(Issue("code is a valueCodeableConcept with a text or coding.", place, "value"))
            found[name] = [value]
        elif not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
            issues.append(Issue(f"{name} has a value of 1 to {MOST_TEXT} characters.", place, "value"))
        else:
            found.setdefault(name, []).append(value)
    issues += _value_issues(found) if not issues else []
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    one = {name: (found.get(name) or [""])[0] for name in _NAMES}
    wanted = Wanted(one["code"] or {}, one["priority"], one["note"], one["due"])
    return Asked(tuple(dict.fromkeys(found["target"])), one["policy"] or EACH, one["request"], wanted)


def _reference(value: Any, base_url: str) -> Any:
    written = value.get("reference") if isinstance(value, dict) else value
    return (normal_reference(written, base_url) or written) if isinstance(written, str) else written


def _value_issues(found: dict[str, list[Any]]) -> list[Issue]:
    issues, place = [], "Parameters.parameter"
    targets = found.get("target", [])
    if not targets:
        issues.append(Issue("Name at least one target, by valueReference.", place, "required"))
    if len(targets) > MOST_TARGETS:
        text = f"target stands at most {MOST_TARGETS} times: send the rest in another call."
        issues.append(Issue(text, place, "too-long"))
    if any(not one.startswith(_TARGETS) for one in targets):
        text = "target refers to an Organization or a HealthcareService of this directory, by valueReference."
        issues.append(Issue(text, place, "value"))
    if found.get("policy", [EACH])[0] not in POLICIES:
        issues.append(Issue(f"policy is one of {', '.join(POLICIES)}.", place, "value"))
    if found.get("priority", ["routine"])[0] not in PRIORITIES:
        issues.append(Issue(f"priority is one of {', '.join(PRIORITIES)}.", place, "value"))
    if not found.get("request", ["ServiceRequest/x"])[0].startswith("ServiceRequest/"):
        issues.append(Issue("request refers to a ServiceRequest, by valueReference.", place, "value"))
    return issues


async def target_of(ctx: Context, name: str, reference: str) -> tuple[Target | None, list[Issue], list[Issue]]:
    """Who is asked, what is wrong with it, and what the directory says of its room. name: for sentences."""
    found = await ctx.resource(reference)
    if found is None:
        return None, [Issue(f"{name} is not in this directory.", code="not-found")], []
    entry, service, organization = found[0], "", reference
    if entry.get("active") is False:
        return None, [Issue(f"{name} is no longer active: choose another.", code="business-rule")], []
    if reference.startswith("HealthcareService/"):
        service = reference
        organization = normal_reference(reference_of(entry, "providedBy"), ctx.settings.base_url) or ""
        held = await ctx.resource(organization) if organization.startswith("Organization/") else None
        if held is None:
            text = f"{name} does not say by which Organization here it is provided (providedBy)."
            return None, [Issue(text, code="business-rule")], []
        return Target(organization, _name(held[0]), service), [], _room(name, entry)
    return Target(organization, _name(entry), service), [], _room(name, entry)


def _name(organization: Resource) -> str:
    return str(organization.get("name") or "")


def _room(name: str, entry: Resource) -> list[Issue]:
    said = standing(entry)
    if said in ("", CAPACITY):
        return []
    return [Issue(f"{name} says of its capacity: {said}. It was asked all the same.", code="informational")]
