"""What the page of a reply link says of a referral: from the Task, its request and the minimum view of the member."""

from datetime import datetime
from zoneinfo import ZoneInfo

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.auth.login import name_of
from service.notify.contact import prohibits
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.reply_links import Link
from service.web.reply_words import Words, catalogue
from service.workflow.parties import reference_of
from service.workflow.reply_links import targets_of

INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"
Fact = tuple[str, list[str]]
"""(key of its label, lines)"""
MOST_LINES = 6


def parties(task: Resource, ctx: Context) -> list[str]:
    """Organizations with which the referral is now."""
    return targets_of(ctx, task)


async def declined(ctx: Context, link: Link) -> bool:
    """Whether the organization itself declined: a referral that it declined is not shown to it any more."""
    reference = f"Task/{link.task}"
    found = (await read.heads(ctx.store, [reference], EVERYTHING)).get(reference)
    task = parse(found.body) if found is not None and found.body is not None else {}
    return task.get("status") == "rejected" and link.organization in targets_of(ctx, task)


def split(task: Resource, element: str, ctx: Context) -> tuple[str, str]:
    """(type, id) of a reference here; ("", "") where it leads elsewhere."""
    rtype, _, fhir_id = (normal_reference(reference_of(task, element), ctx.settings.base_url) or "").partition("/")
    return (rtype, fhir_id) if rtype in ("ServiceRequest", "Patient") and "/" not in fhir_id else ("", "")


def service(task: Resource, asked: Resource | None) -> str:
    """What is asked for, in words."""
    code = (asked or {}).get("code") or {}
    texts = [code.get("text"), *(one.get("display") for one in code.get("coding") or ())]
    return next((str(text) for text in texts if text), str(task.get("description") or "").partition(":")[0])


def silent(asked: Resource | None) -> bool:
    """Whether the member must not be contacted by the organization."""
    return asked is not None and prohibits(asked)


async def shown(
    ctx: Context, t: Words, task: Resource, asked: Resource | None, member: Resource | None, zone: str
) -> list[Fact]:
    """In the order in which they are read, without those that nobody said."""
    asked, member = asked or {}, member or {}
    urgent = str(task.get("priority") or asked.get("priority") or "routine") != "routine"
    person = name_of(member) or str((task.get("for") or {}).get("display") or "")
    person = person or str((asked.get("subject") or {}).get("display") or "")
    until = ((task.get("restriction") or {}).get("period") or {}).get("end") or ""
    notes = [one.get("text") for one in (*(asked.get("note") or ()), *(task.get("note") or ()))]
    points = [] if silent(asked) else [str(one.get("value") or "") for one in member.get("telecom") or ()]
    towns = [", ".join(filter(None, (one.get("city"), one.get("state")))) for one in member.get("address") or ()]
    reason = str((task.get("statusReason") or {}).get("text") or "")
    state = f"state.{task.get('status')}"
    facts: list[Fact] = [
        ("facts.state", [t(state) if state in _STATES else "", t("facts.urgent") if urgent else ""]),
        ("facts.why", [reason]),
        ("facts.member", [person]),
        ("facts.reach", points),
        ("facts.place", towns),
        ("facts.language", spoken_by(t, member)),
        ("facts.note", [str(one) for one in notes if one]),
        ("facts.from", await _requester(ctx, task)),
        ("facts.on", [_day(task.get("authoredOn"), zone)]),
        ("facts.until", [_day(until, zone)]),
    ]
    kept = ((label, [line for line in lines if line][-MOST_LINES:]) for label, lines in facts)
    return [(label, lines) for label, lines in kept if lines]


def _day(value: object, zone: str) -> str:
    """The day of a dateTime in the zone of the installation, as 2026-03-07: read alike in both languages."""
    text = str(value or "")
    try:
        return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).date().isoformat() if "T" in text else text
    except ValueError:
        return text[:10]


def spoken_by(t: Words, member: Resource) -> list[str]:
    found = []
    for one in sorted(member.get("communication") or (), key=lambda c: c.get("preferred") is not True):
        concept = one.get("language") or {}
        codings = concept.get("coding") or ()
        texts = [*(_named(t, c.get("code")) for c in codings), concept.get("text")]
        texts += [c.get("display") or c.get("code") for c in codings]
        found.append(next((str(text) for text in texts if text), ""))
    needed = any(e.get("url") == INTERPRETER and e.get("valueBoolean") for e in member.get("extension") or ())
    return [*found, *([t("facts.interpreter")] if needed else [])]


def _named(t: Words, code: object) -> str:
    """Spanish for es-MX, in the reader's words; "" for a language that the catalogue does not name."""
    key = f"language.{str(code or '').partition('-')[0].lower()}"
    return t(key) if key in catalogue("en") else ""


async def _requester(ctx: Context, task: Resource) -> list[str]:
    """Name and telephone of who referred, as the directory has them."""
    reference = normal_reference(reference_of(task, "requester"), ctx.settings.base_url) or ""
    name = str((task.get("requester") or {}).get("display") or "")
    if not reference.startswith("Organization/"):
        return [name]
    found = await ctx.resource(reference)
    listed = found[0] if found else {}
    phones = [str(one.get("value")) for one in listed.get("telecom") or () if one.get("system") == "phone"]
    return [str(listed.get("name") or name), *phones[:1]]


_STATES = frozenset(
    f"state.{one}"
    for one in (
        *("requested", "accepted", "in-progress", "on-hold", "completed"),
        *("rejected", "cancelled", "failed", "entered-in-error"),
    )
)
