"""What goes with data about substance use that others wrote: the statement of 42 CFR 2.32 and the Consents behind it.

Asked where bodies leave, by answers (service/interactions/notices.py) and by notifications: an OperationOutcome, and
labels in meta.security that say what Enlace's rules say of the resource (HL7 DS4P). The labels are not stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fhir_profiles.json_text import write_json
from fhir_profiles.notices import statement
from service.access.audit_detail import consulted
from service.access.context import Context, parse
from service.access.labels import ACT, PART2, SUD, stamped
from service.caller import Role
from service.clock import instant
from service.search.dates import MAX_US
from service.store.change import AuditRow
from service.store.disclosure_consents import Permit, permits
from service.store.read import Found

PROTECTED = PART2 | SUD
"""A record with a code of substance use may come from a program under Part 2 that nobody told us of."""
NO_REDISCLOSURE = "NORDSCLCD"

_CODING: dict[str, Any] = {"coding": [{"system": ACT, "code": "42CFRPart2"}]}
_MARK = b'"details":' + write_json(_CODING)[:-1]
"""Of an issue that states the notice, as our JSON writer writes it."""

Issues = list[dict[str, Any]]


def protected(ctx: Context, found: Iterable[Found]) -> list[Found]:
    """Those that need the notice: protected, and written by another organization than the caller's."""
    if ctx.caller.role is Role.SYSTEM:
        return []
    own = ctx.organization_key
    return [one for one in found if one.labels & PROTECTED and one.source_org != own and one.body is not None]


class Notice(NamedTuple):
    """issues: for the answer. behind: what permits the disclosure; for the accounting it stands in the audit too."""

    issues: Issues
    behind: Sequence[Permit] = ()

    def upon(self, ctx: Context, row: AuditRow) -> AuditRow:
        """The audit row with the Consents of each of its patients (42 CFR 2.25)."""
        consents: dict[str, list[str]] = {}
        named = {ctx.store.keys.resource(patient): patient for patient in row.patients}
        for one in self.behind:
            if one.reference and one.patient in named:
                consents.setdefault(named[one.patient], []).append(one.reference)
        return consulted(row, {patient: list(dict.fromkeys(several)) for patient, several in consents.items()})


async def notice(ctx: Context, found: Sequence[Found]) -> Notice:
    """What states the notice and what permits the disclosure; nothing where nothing is protected."""
    held = protected(ctx, found)
    if not held:
        return Notice([])
    bits = 0
    for one in held:
        bits |= one.labels & PROTECTED
    patients = sorted({one.patient for one in held if one.patient is not None})
    behind = await permits(ctx.store, patients, bits, ctx.restriction)
    issue: dict[str, Any] = {
        "severity": "information",
        "code": "informational",
        "details": {**_CODING, "text": statement("part2").text},
    }
    if behind:
        issue["diagnostics"] = f"Disclosed under {'; '.join(dict.fromkeys(_told(one) for one in behind))}."
    return Notice([issue], behind)


def _told(permit: Permit) -> str:
    """The scope of what permits it, in plain words."""
    name = permit.reference or "a medical emergency (break-glass)"
    until = "" if permit.end_us >= MAX_US else f", until {instant(permit.end_us)}"
    return f"{name} ({f'purpose {permit.purpose}' if permit.purpose else 'any permitted purpose'}{until})"


def outcome(issues: Issues) -> bytes | None:
    """The OperationOutcome of these issues; None where there are none."""
    return write_json({"resourceType": "OperationOutcome", "issue": issues}) if issues else None


def among(parts: Iterable[bytes]) -> bytes | None:
    """Of the entries of a batch: the notice for the whole where one of them states it."""
    if not any(_MARK in part for part in parts):
        return None
    return outcome([{"severity": "information", "code": "informational", "details": _CODING}])


def shown(ctx: Context, found: Found) -> Found:
    """As it leaves: with the labels that the rules give it. What bears none is passed on as it is."""
    if not found.labels or found.body is None or ctx.caller.role is Role.SYSTEM:
        return found
    more = (NO_REDISCLOSURE,) if protected(ctx, (found,)) else ()
    was = parse(found.body)
    now = stamped(was, found.labels, more)
    return found if now is was else replace(found, body=write_json(now))
