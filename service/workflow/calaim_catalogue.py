"""The CalAIM services: Enhanced Care Management and the 15 Community Supports, as rows of service_catalogue.json. Pure.

Criteria are versions by date; codes of claims (HCPCS and modifiers) have their days. facts/california.md A.7, B.7, B.8
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.terminology import code_systems

TABLE = Path(__file__).parent / "service_catalogue.json"
CODE_SYSTEMS = "https://enlace.example.org/fhir/CodeSystem/"
CS_SYSTEM, EPISODE_SYSTEM = f"{CODE_SYSTEMS}cs-service", f"{CODE_SYSTEMS}episode-type"
ECM = "ecm"
HCPCS_SYSTEMS = (
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "urn:oid:2.16.840.1.113883.6.285",
)
UNITS = ("minutes", "days", "cents", "times")
PERIODS = ("calendar-year", "lifetime", "authorization", "rolling-year")


class CatalogueError(ValueError):
    """The catalogue cannot be used; the sentence names the rows."""


@dataclass(frozen=True)
class Criteria:
    """tree: {"all": [...]} or {"any": [...]}, leaves with id, text, ask and, where data can say it, check."""

    version: str
    since: str
    source: str
    tree: Mapping[str, Any]


@dataclass(frozen=True)
class Cap:
    """hard: an authorization beyond it is refused. exception: with a reason it is not. services: counted together."""

    id: str
    text: str
    per: str
    limit: int
    unit: str
    hard: bool
    exception: bool
    services: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Code:
    """A HCPCS code with the modifiers that make it this service, from a day until a day ("": open)."""

    code: str
    modifiers: frozenset[str]
    since: str
    until: str = ""
    use: str = ""


@dataclass(frozen=True)
class Service:
    """closed_loop: whether its referrals carry the closed-loop status. months: of the first and of later
    authorizations, 0 where the plan says. gives: the service that comes with it.
    """

    code: str
    title: str
    criteria: tuple[Criteria, ...]
    caps: tuple[Cap, ...] = ()
    codes: tuple[Code, ...] = ()
    closed_loop: bool = True
    months: tuple[int, int] = (0, 0)
    streamlined: bool = False
    overlaps: Mapping[str, str] = field(default_factory=dict)
    gives: str = ""


@lru_cache(maxsize=4)
def catalogue(path: str = "") -> Mapping[str, Service]:
    """Code -> service. path: of a site's own table; "" is ours."""
    try:
        table = json.loads((Path(path) if path else TABLE).read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise CatalogueError(f"The catalogue of services cannot be read ({type(e).__name__}).") from None
    return catalogue_of(table)


def catalogue_of(table: Mapping[str, Any]) -> Mapping[str, Service]:
    """Raises CatalogueError with all problems at once."""
    made: dict[str, Service] = {}
    problems: list[str] = []
    for code, row in dict(table.get("services") or {}).items():
        try:
            made[code] = _service(code, row)
        except (KeyError, TypeError, ValueError) as e:
            problems.append(f"{code}: {type(e).__name__} {e}")
            continue
        problems += [f"{code}: {words}" for words in _problems(made[code])]
    if problems:
        raise CatalogueError("service_catalogue.json: " + "; ".join(problems) + ".")
    return made


def _service(code: str, row: Mapping[str, Any]) -> Service:
    spans = row.get("authorization") or {}
    return Service(
        code,
        str(row["title"]),
        tuple(sorted((_criteria(one) for one in row["criteria"]), key=lambda one: one.since)),
        tuple(_cap(code, one) for one in row.get("caps") or ()),
        tuple(_code(one) for one in row.get("hcpcs") or ()),
        bool(row.get("closed_loop", True)),
        (int(spans.get("first_months", 0)), int(spans.get("then_months", 0))),
        bool(row.get("streamlined", False)),
        {str(one["program"]): str(one["rule"]) for one in row.get("overlaps") or ()},
        str(row.get("gives", "")),
    )


def _criteria(one: Mapping[str, Any]) -> Criteria:
    return Criteria(str(one["version"]), str(one["from"]), str(one["source"]), one["tree"])


def _cap(code: str, one: Mapping[str, Any]) -> Cap:
    together = tuple(one.get("services") or (code,))
    words = (str(one["id"]), str(one["text"]), str(one["per"]), int(one["limit"]), str(one["unit"]))
    return Cap(*words, bool(one["hard"]), bool(one["exception"]), together, str(one["source"]))


def _code(one: Mapping[str, Any]) -> Code:
    days = (str(one["from"]), str(one.get("to", "")))
    return Code(str(one["code"]), frozenset(one["modifiers"]), *days, str(one.get("use", "")))


def _problems(service: Service) -> Iterator[str]:
    if not service.criteria:
        yield "criteria need a version"
    for cap in service.caps:
        if cap.unit not in UNITS or cap.per not in PERIODS or cap.limit < 1:
            yield f"{cap.id}: unit is one of {', '.join(UNITS)}, per one of {', '.join(PERIODS)}, limit 1 or more"
    for criteria in service.criteria:
        yield from (f"{criteria.version}: {words}" for words in _tree_problems(criteria.tree))


def _tree_problems(tree: Mapping[str, Any]) -> Iterator[str]:
    branches = tree.get("all") or tree.get("any")
    if branches is not None:
        for one in branches:
            yield from _tree_problems(one)
    elif not tree.get("id") or not tree.get("text") or not tree.get("ask"):
        yield f"a criterion needs id, text and ask: {str(tree)[:60]}"


# --- which service is meant ------------------------------------------------------------------------------------------


def criteria_at(service: Service, day: str) -> Criteria:
    """The version that holds on a day (YYYY-MM-DD); before all of them the first."""
    held = [one for one in service.criteria if one.since <= day]
    return held[-1] if held else service.criteria[0]


def service_of(request: Resource) -> Service | None:
    """Of a ServiceRequest, a HealthcareService or an EpisodeOfCare: by our code systems, else by HCPCS."""
    rows = catalogue()
    concepts = [request.get("code"), *(request.get("category") or ()), *_types(request.get("type"))]
    for coding in (c for one in concepts if isinstance(one, dict) for c in one.get("coding") or ()):
        found = rows.get(_code_of(coding))
        if found is not None:
            return found
    return None


def services_of(resource: Resource) -> frozenset[str]:
    """All that a HealthcareService offers."""
    concepts = [*(resource.get("category") or ()), *_types(resource.get("type"))]
    codes = {_code_of(coding) for one in concepts for coding in one.get("coding") or ()}
    return frozenset(codes & set(catalogue()))


def _types(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _code_of(coding: Mapping[str, Any]) -> str:
    system, code = coding.get("system"), str(coding.get("code", ""))
    if system == CS_SYSTEM:
        above = code_systems()[CS_SYSTEM].above(code)
        return above[-1] if above else ""
    if system == EPISODE_SYSTEM:
        return code
    if system in HCPCS_SYSTEMS:
        first, *modifiers = code.replace(":", "-").replace(" ", "-").split("-")
        found = {service.code for service, _ in by_hcpcs(first, modifiers)}
        return found.pop() if len(found) == 1 else ""
    return ""


def by_hcpcs(code: str, modifiers: Collection[str], day: str = "") -> list[tuple[Service, Code]]:
    """Services that a line of a claim may be: its modifiers in any slot, the row with most of them first.

    day: of the service, YYYY-MM-DD; "" is any.
    """
    given = {one.upper() for one in modifiers}
    found = [
        (service, row)
        for service in catalogue().values()
        for row in service.codes
        if row.code == code.upper() and row.modifiers <= given and holds(row, day)
    ]
    return sorted(found, key=lambda one: (-len(one[1].modifiers), one[0].code))


def holds(row: Code, day: str) -> bool:
    return not day or (row.since <= day and (not row.until or day <= row.until))
