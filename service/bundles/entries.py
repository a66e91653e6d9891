"""A Bundle read into entries, each with what it asks for or why it cannot. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from service.errors import Category, FhirError, Issue
from service.interactions.call import Call, Handler

MAX_ENTRIES = 500
KINDS = ("batch", "transaction")


class Route(NamedTuple):
    """The row of THE route table that an entry's method and URL lead to, and the request as its handler takes it."""

    handler: Handler
    interaction: str
    call: Call


Resolve = Callable[[Resource, Any], Route]
"""(entry.request, entry.resource) -> Route; FhirError as a request of its own would be refused."""


@dataclass(frozen=True)
class Entry:
    """route is None where error says why. full_url: "" where none was sent."""

    number: int
    request: Resource
    resource: Any
    full_url: str = ""
    route: Route | None = None
    error: FhirError | None = None

    @property
    def method(self) -> str:
        return str(self.request.get("method"))

    @property
    def rtype(self) -> str:
        return self.route.call.type if self.route else ""


def kind_of(bundle: Any) -> str:
    """batch or transaction; FhirError for whatever else came. The number of entries is the first thing to be seen."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        text = "Post a Bundle of type batch or transaction here; a resource of its own goes to [base]/[type]."
        raise FhirError(Category.MALFORMED, [Issue(text, "resourceType", "structure")])
    given = bundle.get("entry", [])
    if isinstance(given, list) and len(given) > MAX_ENTRIES:
        text = f"The Bundle has more than {MAX_ENTRIES} entries: send it in parts."
        raise FhirError(Category.TOO_LARGE, [Issue(text, "Bundle.entry", "too-long")], reason="too-many-entries")
    if bundle.get("type") not in KINDS:
        text = "Bundle.type must be batch or transaction: Bundles of other types are not taken here."
        raise FhirError(Category.MALFORMED, [Issue(text, "Bundle.type", "value")])
    if not isinstance(given, list) or ("entry" in bundle and not given):
        text = "Bundle.entry must be a list with at least one entry; leave it out where there is none."
        raise FhirError(Category.MALFORMED, [Issue(text, "Bundle.entry", "structure")])
    head = {name: value for name, value in bundle.items() if name != "entry"}
    problems = [p for p in validate(head, "Bundle") if p.severity in ("error", "fatal")]
    if problems:
        raise FhirError(Category.MALFORMED, [Issue(p.diagnostics, p.expression, p.code) for p in problems])
    return str(bundle["type"])


def entries_of(bundle: Resource, resolve: Resolve) -> list[Entry]:
    """All entries in order. What is wrong with one of them stands in that one."""
    given = bundle.get("entry", [])
    sound = all(isinstance(one, dict) for one in given) and not validate(_skeleton(given), "Bundle")
    return [_entry(number, one, resolve, sound) for number, one in enumerate(given)]


def _skeleton(given: list[Any]) -> Resource:
    """The Bundle without its resources: these are judged by their own interactions."""
    bare = [{**{n: v for n, v in one.items() if n != "resource"}, "search": {"mode": "match"}} for one in given]
    return {"resourceType": "Bundle", "type": "searchset", "entry": bare}


def _entry(number: int, one: Any, resolve: Resolve, sound: bool) -> Entry:
    place = f"Bundle.entry[{number}]"
    if not isinstance(one, dict):
        return Entry(number, {}, None, error=_malformed(Issue("An entry must be a JSON object.", place, "structure")))
    problems = [] if sound else [p for p in validate(_skeleton([one]), "Bundle") if p.severity in ("error", "fatal")]
    issues = [Issue(p.diagnostics, p.expression.replace("Bundle.entry[0]", place, 1), p.code) for p in problems]
    request = one.get("request")
    if not isinstance(request, dict):
        text = "Each entry of a batch or transaction needs request, with method and url."
        issues.append(Issue(text, f"{place}.request", "required"))
    if issues:
        return Entry(number, {}, None, error=_malformed(*issues))
    assert isinstance(request, dict)
    resource, full_url = one.get("resource"), str(one.get("fullUrl", ""))
    try:
        route = resolve(request, resource)
    except FhirError as error:
        return Entry(number, request, resource, full_url, error=_at_request(error, place))
    if route.interaction in KINDS:
        text = "A Bundle inside a Bundle is not taken: send its entries in this one."
        nested = _malformed(Issue(text, f"{place}.request.url", "not-supported"))
        return Entry(number, request, resource, full_url, error=nested)
    return Entry(number, request, resource, full_url, route)


def _malformed(*issues: Issue) -> FhirError:
    return FhirError(Category.MALFORMED, issues)


def _at_request(error: FhirError, place: str) -> FhirError:
    issues = [Issue(one.diagnostics, one.expression or f"{place}.request", one.code) for one in error.issues]
    return FhirError(error.category, issues, error.headers, error.reason)
