"""Random requests of one caller: every interaction, and searches with every kind of parameter.

A step is data, so that a failing program can be cut down. {made}: the id of what the caller created last.
"""

import json
from random import Random
from typing import Any, NamedTuple

from fhir_profiles.catalog import SearchParameter, catalog
from tests.scenarios.non_interference.facts import SHAPES, varied
from tests.service.world import CBO1, ECM1, request, task

Resource = dict[str, Any]


class Step(NamedTuple):
    """follow: instead of a URL a relation of the last Bundle's links."""

    method: str
    url: str = ""
    body: Any = None
    kind: str = "application/fhir+json"
    headers: tuple[tuple[str, str], ...] = ()
    follow: str = ""

    def __str__(self) -> str:
        body = "" if self.body is None else " " + json.dumps(self.body)
        return f"{self.method} {self.url or self.follow}{body} {dict(self.headers) or ''}"


IDS = ("a", "a", "a2", "b", "h1", "h2", "hid", "hid2", "ver", "was", "own", "us", "to-h1", "to-hid", "off", "lost",
       "zz", "{made}")  # fmt: skip
MRNS = ("mrn-a", "mrn-h1", "mrn-h2", "mrn-made", "mrn-zz")
TYPES = tuple(t for t in (*SHAPES, "Patient", "Group", "Organization", "Practitioner", "Provenance"))
TOKENS = (
    "female", "male", "active", "final", "completed", "requested", "accepted", "order", "plan", "c", "spy", "true",
    "false", "http://example.org/c|c-hid", "http://example.org/c|c-h1", "c-h2", "permit", "IMP", "SUD", "person",
    *(f"http://example.org/mrn|{mrn}" for mrn in MRNS),
)  # fmt: skip
DATES = ("2026", "ge2026-02-01", "lt2026-02-05", "1975", "gt1974-03-04", "ne2026-03-01", "le2026-03-08T12:00:00Z")
WORDS = ("Made", "spy", "Kin", "x", "weight", "ecm", "Up")


def program(r: Random, length: int) -> tuple[Step, ...]:
    return tuple(_step(r) for _ in range(length))


def _step(r: Random) -> Step:
    kinds = list(KINDS)
    return r.choices(kinds, [KINDS[kind] for kind in kinds])[0](r)


# --- searches --------------------------------------------------------------------------------------------------------


def _value(r: Random, parameter: SearchParameter, depth: int) -> tuple[str, str]:
    """(what follows the name, value)."""
    match parameter.type:
        case "token":
            return r.choice(("", "", "", ":not", ":missing", ":text")), r.choice(TOKENS)
        case "reference":
            targets = [t for t in parameter.targets if t in catalog().types]
            target = r.choice(targets or ["Patient"])
            if depth and r.random() < 0.5:
                name, value = clause(r, target, depth - 1)
                return f":{target}.{name}", value
            suffix = r.choice(("", "", "", ":missing", f":{target}"))
            one = r.choice(IDS)
            return suffix, one if suffix == f":{target}" else f"{target}/{one}"
        case "date":
            return r.choice(("", "", ":missing")), r.choice(DATES)
        case "string":
            return r.choice(("", ":exact", ":contains", ":missing")), r.choice(WORDS)
        case "number" | "quantity":
            return r.choice(("", ":missing")), r.choice(("5", "gt3", "lt7", "ne4"))
        case "composite":
            return "", r.choice(("c$5", "weight$gt3", "x$2026"))
    return r.choice(("", ":missing")), "http://example.org/x"


def clause(r: Random, rtype: str, depth: int = 2) -> tuple[str, str]:
    entry = catalog().types[rtype]
    sources = [one for one in entry.revincludes if not one.startswith("AuditEvent")]
    if depth and sources and r.random() < 0.25:
        source, _, code = r.choice(sorted(sources)).partition(":")
        name, value = clause(r, source, depth - 1)
        return f"_has:{source}:{code}:{name}", value
    if r.random() < 0.12:
        return r.choice(("_id", "_id:not", "_lastUpdated", "_security", "_tag:not", "_list", "_profile:missing")), (
            r.choice((*IDS, "gt2026", "SUD", "h1", "true"))
        )
    code = r.choice(sorted(c for c, p in entry.search.items() if p.type != "special"))
    suffix, value = _value(r, entry.search[code], depth)
    return code + suffix, r.choice(("true", "false")) if suffix.endswith(":missing") else value


def parameters(r: Random, rtype: str) -> list[tuple[str, str]]:
    entry = catalog().types[rtype]
    out = [clause(r, rtype) for _ in range(r.choice((0, 1, 1, 2, 3)))]
    includes, reverse = sorted(entry.includes), sorted(entry.revincludes)
    for _ in range(r.choice((0, 0, 1, 2))):
        out.append((r.choice(("_include", "_include", "_include:iterate")), r.choice([*includes, "*"])))
    for _ in range(r.choice((0, 0, 1, 2)) if reverse else 0):
        out.append(("_revinclude", r.choice([*reverse, "*"])))
    if r.random() < 0.4:
        plain = [c for c, p in entry.search.items() if p.type not in ("composite", "special")]
        out.append(("_sort", r.choice(("", "-")) + r.choice(sorted(plain))))
    if r.random() < 0.4:
        out.append(("_total", r.choice(("accurate", "estimate", "none"))))
    if r.random() < 0.2:
        out.append(("_summary", r.choice(("count", "true", "text", "data"))))
    if r.random() < 0.1:
        out.append(("_filter", r.choice(FILTERS)))
    if r.random() < 0.5:
        out.append(("_count", str(r.choice((1, 1, 2, 3, 50)))))
    return out


FILTERS = (
    "not (patient._id eq h1)", "patient.gender eq female", "subject:Patient._id eq h1 or _id eq a",
    "not (_id eq a)", "identifier eq http://example.org/c|c-hid", "patient._has:Condition:patient:_id eq hid",
)  # fmt: skip


def encoded(params: list[tuple[str, str]]) -> str:
    from urllib.parse import urlencode

    return urlencode(params, safe="{}")


def search(r: Random) -> Step:
    rtype = r.choice(TYPES)
    return Step("GET", f"/{rtype}?{encoded(parameters(r, rtype))}")


def post_search(r: Random) -> Step:
    rtype = r.choice(TYPES)
    form = encoded(parameters(r, rtype))
    return Step("POST", f"/{rtype}/_search", form, "application/x-www-form-urlencoded")


def follow(r: Random) -> Step:
    return Step("GET", follow=r.choice(("next", "next", "next", "previous", "first")))


def compartment(r: Random) -> Step:
    part = r.choice((*SHAPES, "*", "AuditEvent"))
    more = encoded(parameters(r, part)) if part in SHAPES and r.random() < 0.5 else "_total=accurate"
    return Step("GET", f"/Patient/{r.choice(IDS)}/{part}?{more}")


def system_search(r: Random) -> Step:
    more = r.choice(("", "&_total=accurate", "&_sort=-_lastUpdated", "&_sort=_id&_count=3", "&_summary=count"))
    only = r.choice(("", f"&_type={','.join(r.sample(TYPES, 3))}"))
    return Step("GET", f"/?_id={r.choice(IDS)},{r.choice(IDS)}{only}{more}")


def audit(r: Random) -> Step:
    asked = r.choice((f"patient=Patient/{r.choice(IDS)}", f"entity=Patient/{r.choice(IDS)}", "_total=accurate", ""))
    return Step("GET", f"/AuditEvent?{asked}&_count=5")


# --- reads -----------------------------------------------------------------------------------------------------------


def place(r: Random) -> str:
    return f"{r.choice((*TYPES, 'Patient', 'Condition', 'Observation', 'Task'))}/{r.choice(IDS)}"


def read(r: Random) -> Step:
    headers = (("If-None-Match", f'W/"{r.choice((1, 2))}"'),) if r.random() < 0.3 else ()
    return Step(r.choice(("GET", "GET", "GET", "HEAD")), f"/{place(r)}", headers=headers)


def vread(r: Random) -> Step:
    return Step("GET", f"/{place(r)}/_history/{r.choice((1, 1, 2, 3))}")


def history(r: Random) -> Step:
    where = r.choice((f"/{place(r)}", f"/{place(r)}", f"/{r.choice(TYPES)}", ""))
    asked = r.choice(("", "?_count=2", "?_count=3&_sort=_lastUpdated", "?_since=2026-03-08T07:31:00Z", "?_at=2026"))
    return Step("GET", f"{where}/_history{asked}")


def everything(r: Random) -> Step:
    asked = r.choice(("", "?_count=3", "?_type=Condition,Observation", "?_since=2026-03-08T07:31:00Z", "?end=2026-02"))
    return Step("GET", f"/Patient/{r.choice(IDS)}/$everything{asked}")


def match(r: Random) -> Step:
    body: Resource = {"resourceType": "Patient", "identifier": [
        {"system": "http://example.org/mrn", "value": r.choice(MRNS)}]}  # fmt: skip
    if r.random() < 0.6:
        body |= {"name": [{"family": r.choice(("Made", "Spy")), "given": ["Up"]}], "birthDate": "1975-03-04"}
    return Step("POST", "/Patient/$match", body)


# --- writes ----------------------------------------------------------------------------------------------------------


def body_of(r: Random, rtype: str, fhir_id: str = "") -> Resource:
    who = f"Patient/{r.choice(('a', 'a', 'a2', 'b', 'h1', 'hid', 'zz'))}"
    if rtype == "Patient":
        body: Resource = {"resourceType": "Patient", "gender": r.choice(("male", "female")), "identifier": [
            {"system": "http://example.org/mrn", "value": r.choice(MRNS)}]}  # fmt: skip
    elif rtype == "Task":
        focus = f"ServiceRequest/{r.choice(IDS)}"
        body = task("Task/x", who, focus, r.choice((ECM1, CBO1)), r.choice((ECM1, CBO1)))
    elif rtype == "ServiceRequest":
        body = request("ServiceRequest/x", who, r.choice((ECM1, CBO1)))
    else:
        body = varied(rtype, "x", who, r)
    body = {k: v for k, v in body.items() if k != "id"}
    return {**body, "id": fhir_id} if fhir_id else body


WRITTEN = ("Goal", "Condition", "Observation", "Procedure", "Task", "ServiceRequest", "Communication", "Patient")
JSON_PATCH, MERGE = "application/json-patch+json", "application/merge-patch+json"


def wanted(r: Random, rtype: str) -> str:
    """The query of a conditional request."""
    if rtype == "Patient":
        return f"identifier=http://example.org/mrn|{r.choice(MRNS)}"
    return r.choice((f"identifier=http://example.org/c|c-{r.choice(('hid', 'h1', 'h2'))}", encoded([clause(r, rtype)])))


def matched(r: Random) -> tuple[tuple[str, str], ...]:
    return (("If-Match", f'W/"{r.choice((1, 1, 2, 9))}"'),) if r.random() < 0.6 else ()


def create(r: Random) -> Step:
    rtype = r.choice(WRITTEN)
    headers = (("If-None-Exist", wanted(r, rtype)),) if r.random() < 0.5 else ()
    return Step("POST", f"/{rtype}", body_of(r, rtype), headers=headers)


def update(r: Random) -> Step:
    rtype = r.choice(WRITTEN)
    if r.random() < 0.4:
        return Step("PUT", f"/{rtype}?{wanted(r, rtype)}", body_of(r, rtype), headers=matched(r))
    one = r.choice(IDS)
    return Step("PUT", f"/{rtype}/{one}", body_of(r, rtype, one), headers=matched(r))


REFERRED = ("Goal/a", "Observation/o1", "Encounter/a", "Communication/a", "Condition/to-hid", "Task/to-hid")
"""Ours, and what hidden resources lead to."""


def delete(r: Random) -> Step:
    if r.random() < 0.3:
        return Step("DELETE", f"/{r.choice(REFERRED)}", headers=(("If-Match", 'W/"1"'),))
    rtype = r.choice(WRITTEN)
    where = f"/{rtype}/{r.choice(IDS)}" if r.random() < 0.6 else f"/{rtype}?{wanted(r, rtype)}"
    return Step("DELETE", where, headers=matched(r))


def patch(r: Random) -> Step:
    rtype = r.choice(WRITTEN)
    where = f"/{rtype}/{r.choice(IDS)}" if r.random() < 0.6 else f"/{rtype}?{wanted(r, rtype)}"
    if r.random() < 0.5:
        return Step("PATCH", where, {"language": "en"}, MERGE, matched(r))
    test = r.choice(({"op": "test", "path": "/code/text", "value": "c"}, {"op": "remove", "path": "/meta/security"}))
    return Step("PATCH", where, [test, {"op": "add", "path": "/language", "value": "en"}], JSON_PATCH, matched(r))


def validate(r: Random) -> Step:
    rtype = r.choice(WRITTEN)
    mode = r.choice(("?mode=create", "?mode=update", "?mode=delete", ""))
    if r.random() < 0.5:
        return Step("POST", f"/{rtype}/{r.choice(IDS)}/$validate{mode}", body_of(r, rtype, "a"))
    return Step("POST", f"/{rtype}/$validate{mode}", body_of(r, rtype, r.choice(IDS)))


def several(r: Random) -> Step:
    kind = r.choice(("batch", "transaction"))
    made = (read, vread, history, search, everything, create, create, update, delete, compartment)
    entries = []
    for _ in range(r.randint(1, 4)):
        step = r.choice(made)(r)
        asked = {"method": step.method if step.method != "HEAD" else "GET", "url": step.url.lstrip("/")}
        names = {"If-Match": "ifMatch", "If-None-Exist": "ifNoneExist", "If-None-Match": "ifNoneMatch"}
        asked |= {names[name]: value for name, value in step.headers}
        entries.append({"request": asked} | ({"resource": step.body} if step.body else {}))
    if r.random() < 0.3:
        target = r.choice(("Patient?identifier=http://example.org/mrn|mrn-h1", "Patient?identifier=mrn-a"))
        goal = {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "x"}}
        goal["subject"] = {"reference": target}
        entries.append({"request": {"method": "POST", "url": "Goal"}, "resource": goal})
    return Step("POST", "", {"resourceType": "Bundle", "type": kind, "entry": entries})


KINDS = {
    search: 36, follow: 12, post_search: 4, compartment: 5, system_search: 3, audit: 4, read: 10, vread: 8,
    history: 10, everything: 5, match: 3, create: 7, update: 7, delete: 6, patch: 6, validate: 4, several: 12,
}  # fmt: skip
