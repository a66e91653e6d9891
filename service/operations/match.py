"""Patient/$match: who might this be? https://hl7.org/fhir/R4/patient-operation-match.html

Candidates are found by searches under the caller's restriction: a foreign Patient is no candidate, ties nobody, and
changes no score. They are judged by the matcher of ADT messages (service/workflow/member_match.py, match_scores.py).
"""

from dataclasses import dataclass, replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.context import parse as resource_of
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue
from service.interactions.bundle import Entry, bundle
from service.interactions.checks import check_structure
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.notices import notice, outcome
from service.interactions.notices import shown as labelled
from service.operations.parameters import known, pairs, parts
from service.search.query import parse as parse_query
from service.store.change import Change
from service.store.find import search as find
from service.store.read import Found
from service.workflow.match_evidence import CIN_SYSTEM, SSN_SYSTEM
from service.workflow.match_scores import Scored, scored
from service.workflow.member_match import Candidate, Lookup, candidates_wanted, match
from service.workflow.patient_likeness import likeness

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MAX_COUNT = 50
DEFAULT_COUNT = 10
MAX_FACTS = 20
"""Identifiers, telephone numbers and e-mail addresses that are looked for: each is a search of its own."""
PER_SEARCH = 1000
"""Candidates that one of them finds; more are refused, for the right one might be among those left out."""

_ENOUGH = (
    "A match needs an identifier with system and value, or a name with family and given and a whole birthDate "
    "(YYYY-MM-DD); more facts, such as telecom or address, make it surer."
)
_MANY = (
    f"More than {PER_SEARCH} people share one of these facts, such as a birthDate that stands for an unknown one: "
    "search by identifier, or by name and birthdate, instead."
)
_NAMES = ("resource", "onlyCertainMatches", "count")


@dataclass(frozen=True)
class Wanted:
    patient: Resource
    certain: bool = False
    count: int = DEFAULT_COUNT


def read(body: Any) -> Wanted:
    """From a Parameters resource, or the Patient alone. 400 for what cannot be read, 422 for what says too little."""
    given = [part.get("resource") for part in parts(body) if part.get("name") == "resource"]
    rest = {"resourceType": "Parameters", "parameter": [part for part in parts(body) if part.get("name") != "resource"]}
    values, issues = known(pairs(rest), _NAMES)
    single = not parts(body) and isinstance(body, dict) and body.get("resourceType") == "Patient"
    if not single and len(given) != 1:
        issues.append(Issue("Give one Patient as the parameter 'resource'.", "Parameters.parameter", "required"))
    certain, count = values.get("onlyCertainMatches", ["false"])[0], values.get("count", [str(DEFAULT_COUNT)])[0]
    if certain not in ("true", "false"):
        issues.append(Issue("Parameter 'onlyCertainMatches' takes true or false.", code="value"))
    if not (count.isascii() and count.isdigit() and 0 < len(count) < 10 and int(count) > 0):
        issues.append(Issue("Parameter 'count' takes a whole number from 1.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    patient = check_structure(body if single else given[0], "Patient")
    _check_enough(patient)
    return Wanted(patient, certain == "true", min(int(count), MAX_COUNT))


def _check_enough(patient: Resource) -> None:
    numbers = [one for one in patient.get("identifier") or () if one.get("system") and one.get("value")]
    named = any(one.get("family") and one.get("given") for one in patient.get("name") or ())
    if not numbers and not (named and len(str(patient.get("birthDate", ""))) == 10):
        raise FhirError(Category.RULE, [Issue(_ENOUGH, "Patient", "required")], reason="match-facts")
    if len(patient.get("identifier") or ()) + len(patient.get("telecom") or ()) > MAX_FACTS:
        text = f"A match takes at most {MAX_FACTS} identifiers and telecoms together: leave out the old ones."
        raise FhirError(Category.RULE, [Issue(text, "Patient", "too-costly")], reason="match-facts")


async def match_patient(ctx: Context, wanted: Wanted) -> Decision:
    """A searchset Bundle, best first, perhaps empty; no links: `count` is all there is."""
    check_scope(ctx.caller, "s", "Patient")
    check_scope(ctx.caller, "r", "Patient")
    event = likeness(wanted.patient)
    searches = _Searches(ctx)
    by_lookup: dict[Lookup, list[Candidate]] = {}
    for lookup in candidates_wanted(event):
        by_lookup[lookup] = await searches.find(*_question(lookup))
    pool = [candidate for candidates in by_lookup.values() for candidate in candidates]
    for name, value in _more(wanted.patient):
        pool += await searches.find(name, value)
    rows = scored(event.patient, pool, match(event, by_lookup))
    by_number = {c.patient_ref for lookup, cs in by_lookup.items() if lookup.kind != "demographics" for c in cs}
    rows = [r for r in rows if r.grade != "certainly-not" or r.candidate.patient_ref in by_number]
    rows = [r for r in rows if r.grade == "certain" or not wanted.certain][: wanted.count]
    shown = [searches.found[row.candidate.patient_ref] for row in rows]
    notes = await notice(ctx, shown)
    body = bundle(
        "searchset",
        [Entry(labelled(ctx, one), "match", search=_search_of(row)) for one, row in zip(shown, rows, strict=True)],
        ctx.settings.base_url,
        links={"self": f"{ctx.settings.base_url}/Patient/$match"},
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=len(rows),
        outcome=outcome(notes.issues),
    )
    audit = ctx.audit("E", "match", "Patient", shown=shown)
    return Decision(Change(audit=[notes.upon(ctx, audit)]), fixed(Answer(200, body, notice=outcome(notes.issues))))


def _search_of(row: Scored) -> dict[str, object]:
    return {"extension": [{"url": GRADE, "valueCode": row.grade}], "score": row.score}


def _question(lookup: Lookup) -> tuple[str, str]:
    match lookup.kind:
        case "panel":
            return "_id", lookup.value
        case "cin":
            return "identifier", f"{_plain(CIN_SYSTEM)}|{_plain(lookup.value)}"
        case "mrn":
            return "identifier", f"{_plain(lookup.scope)}|{_plain(lookup.value)}"
    return "birthdate", lookup.scope


def _more(patient: Resource) -> list[tuple[str, str]]:
    """Searches beside those of the matcher, for candidates that a person may want to look at."""
    asked = [
        ("phone" if one.get("system") in ("phone", "sms") else "email", _plain(str(one["value"])))
        for one in patient.get("telecom") or ()
        if one.get("value") and one.get("system") in ("phone", "sms", "email")
    ]
    asked += [
        ("identifier", f"{SSN_SYSTEM}|{_plain(str(one['value']))}")
        for one in patient.get("identifier") or ()
        if one.get("system") == SSN_SYSTEM and one.get("value")
    ]
    born = str(patient.get("birthDate", ""))
    if len(born) == 10 and born[8:] <= "12" and born[5:7] != born[8:]:
        asked.append(("birthdate", f"{born[:5]}{born[8:]}-{born[5:7]}"))
    return list(dict.fromkeys(asked))


class _Searches:
    """Visible Patients under one fact at a time; each question is asked once."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._asked: dict[tuple[str, str], list[Candidate]] = {}
        self.found: dict[str, Found] = {}

    async def find(self, name: str, value: str) -> list[Candidate]:
        if (name, value) not in self._asked:
            self._asked[name, value] = await self._find(name, value)
        return self._asked[name, value]

    async def _find(self, name: str, value: str) -> list[Candidate]:
        """A value that no search takes is nobody's."""
        ctx, asked = self._ctx, [(name, value)]
        keys, base = ctx.store.keys, ctx.settings.base_url
        try:
            criteria = parse_query("Patient", asked, keys, strict=True, now_us=ctx.now_us, base_url=base)
        except FhirError:
            return []
        criteria = replace(criteria, count=PER_SEARCH)
        page = await find(ctx.store, criteria, ctx.scoped("rs"), include_restriction=ctx.linkable())
        if page.next is not None:
            raise FhirError(Category.RULE, [Issue(_MANY, "Patient", "too-costly")], reason="match-many")
        self.found.update((one.reference, one) for one in page.matches)
        return [Candidate(one.reference, resource_of(one.body)) for one in page.matches]


def _plain(text: str) -> str:
    r"""The value as a search takes it: its own separators escaped."""
    return "".join("\\" + char if char in "\\,|$" else char for char in text)
