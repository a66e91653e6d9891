"""Names in a plan file -> our directory: the plan, the ECM provider by NPI, the lead care manager by NPI or e-mail.

Alerts and the inbox go by Practitioner (decisions.md 38), so that is what a lead care manager is resolved to. Plans are
the source of assignments: a lead care manager of whom the file tells NPI and name is entered once, held by the NPI.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from mappers.plan_files.member_resources import NPI_SYSTEM
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.rows import Severity
from service.access.context import Context, parse
from service.access.new_version import new_version
from service.search.token_rows import fold
from service.store import plan_files
from service.store.change import ABSENT, Change, Claim, ClaimTaken
from service.store.plan_files import Bearer

PLAN_SYSTEM = "https://enlace.example.org/fhir/sid/plan"
_ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
_PAYER_TYPES = frozenset({"pay", "ins"})


class UnknownPlan(Exception):
    """No such plan: one sentence with the remedy."""


@dataclass(frozen=True)
class Plan:
    """reference: Organization/id. slug: its identifier in the system PLAN_SYSTEM and the name of its layout, or ""."""

    reference: str
    slug: str


@dataclass(frozen=True)
class Resolved:
    """A reference, or what is wrong: field of the layout, rule, sentence."""

    reference: str | None
    field: str = ""
    rule: str = ""
    message: str = ""
    severity: Severity = "error"


async def find_plan(ctx: Context, name: str) -> Plan:
    """By slug, or by the id of its Organization. Raises UnknownPlan."""
    found = await _bearing(ctx, "Organization", PLAN_SYSTEM, name)
    if len(found) > 1:
        raise UnknownPlan("Several Organizations bear this plan identifier: name the plan by its Organization id.")
    if found:
        return Plan(found[0].reference, name)
    fhir_id = name.removeprefix("Organization/")
    body = await plan_files.organization(ctx.store, fhir_id)
    if body is None:
        raise UnknownPlan(
            f"No such plan: give its Organization the identifier {PLAN_SYSTEM}|<slug>, or name it by Organization id."
        )
    organization = parse(body)
    slugs = [i.get("value", "") for i in organization.get("identifier") or () if i.get("system") == PLAN_SYSTEM]
    types = {c.get("code") for t in organization.get("type") or () for c in t.get("coding") or ()}
    if not slugs and not types & _PAYER_TYPES:
        raise UnknownPlan(f"This Organization is not a plan: it has neither an identifier {PLAN_SYSTEM} nor type pay.")
    return Plan(f"Organization/{fhir_id}", slugs[0] if slugs else "")


class Directory:
    """Looks each name of one file up once. dry: nothing is entered, a new lead care manager gets an id all the same."""

    def __init__(self, ctx: Context, *, dry: bool = False):
        self._ctx, self._dry = ctx, dry
        self._known: dict[tuple[str | None, ...], Resolved] = {}
        self._lock = asyncio.Lock()

    async def provider(self, npi: str) -> Resolved:
        """The ECM provider's Organization; a row without one is an error."""
        key = ("Organization", npi)
        if key not in self._known:
            async with self._lock:
                if key not in self._known:
                    self._known[key] = await self._provider(npi)
        return self._known[key]

    async def manager(self, member: MemberRow, provider: str) -> Resolved:
        """The lead care manager's Practitioner; unknown is a warning, and the provider organization gets the alerts."""
        key = ("Practitioner", member.lcm_npi, member.lcm_email, member.lcm_name, provider)
        if key[1:4] == (None, None, None):
            return Resolved(None)
        if key not in self._known:
            async with self._lock:
                if key not in self._known:
                    self._known[key] = await self._manager(member, provider)
        return self._known[key]

    async def _provider(self, npi: str) -> Resolved:
        found = [b for b in await _bearing(self._ctx, "Organization", NPI_SYSTEM, npi) if _active(b)]
        if len(found) == 1:
            return Resolved(found[0].reference)
        if found:
            names = ", ".join(b.reference for b in found)
            words = f"several organizations bear this NPI ({names}): leave it on one, then import again with --again"
            return Resolved(None, "provider_npi", "provider-ambiguous", words)
        words = "no ECM provider with this NPI is known: register its Organization, then import again with --again"
        return Resolved(None, "provider_npi", "provider-unknown", words)

    async def _manager(self, member: MemberRow, provider: str) -> Resolved:
        npi = member.lcm_npi
        known = await self._by_npi(npi) if npi else []
        if not known and member.lcm_email:
            known = [b for b in await self._by_email(member.lcm_email) if _npi(b) in (None, npi or _npi(b))]
        if len(known) == 1:
            return Resolved(known[0].reference)
        field = "lcm_npi" if npi else "lcm_email" if member.lcm_email else "lcm_name"
        if known:
            words = "several people fit: none was assigned, alerts go to the ECM provider; give the NPI"
            return Resolved(None, field, "lead-care-manager-ambiguous", words, "warning")
        if npi and member.lcm_name:
            return Resolved(await self._entered(npi, member, provider))
        words = "this person is not known, alerts go to the ECM provider: give NPI and name to add the person"
        return Resolved(None, field, "lead-care-manager-unknown", words, "warning")

    async def _by_npi(self, npi: str) -> list[Bearer]:
        """The holder of the NPI, else all who bear it: two records of one number are for the operator to sort out."""
        found = await _bearing(self._ctx, "Practitioner", NPI_SYSTEM, npi, self._ctx.store.keys.of("npi", npi))
        holders = [b for b in found if b.claimed]
        return holders or found

    async def _by_email(self, email: str) -> Sequence[Bearer]:
        key = self._ctx.store.keys.token("Practitioner", "email", None, fold(email))
        return [b for b in await plan_files.bearers(self._ctx.store, "Practitioner", key) if not b.deleted]

    async def _entered(self, npi: str, member: MemberRow, provider: str) -> str:
        """A new Practitioner with the role at the provider; where another import was first, the one that it made."""
        ctx = self._ctx
        person, role = _practitioner(ctx.new_id(), npi, member), _role(ctx.new_id(), member, provider)
        reference = f"Practitioner/{person['id']}"
        role["practitioner"] = {"reference": reference}
        if self._dry:
            return reference
        keys, base = ctx.store.keys, ctx.settings.base_url
        change = Change(claims=[Claim(keys.of("npi", npi), keys.resource(reference))])
        for resource in (person, role):
            change.writes.append(
                new_version(resource, ABSENT, keys, source_org=ctx.organization_key, now_us=ctx.now_us, base_url=base)
            )
        change.audit.append(ctx.audit("C", "file-practitioner", reference))
        try:
            await ctx.store.commit(change)
        except ClaimTaken:
            found = await self._by_npi(npi)
            return found[0].reference if found else reference
        return reference


async def _bearing(ctx: Context, rtype: str, system: str, value: str, claim: int = 0) -> list[Bearer]:
    key = ctx.store.keys.token(rtype, "identifier", system, value)
    return [b for b in await plan_files.bearers(ctx.store, rtype, key, claim) if not b.deleted]


def _active(bearer: Bearer) -> bool:
    return parse(bearer.body).get("active") is not False


def _npi(bearer: Bearer) -> str | None:
    identifiers = parse(bearer.body).get("identifier") or ()
    return next((i.get("value") for i in identifiers if i.get("system") == NPI_SYSTEM), None)


def _practitioner(fhir_id: str, npi: str, member: MemberRow) -> Resource:
    words = (member.lcm_name or "").split()
    name: Resource = {"use": "official", "text": " ".join(words)}
    if len(words) == 2 and "," not in words[0]:
        name |= {"family": words[1], "given": [words[0]]}  # longer names are not cut: where, only the person knows
    resource: Resource = {
        "resourceType": "Practitioner",
        "id": fhir_id,
        "identifier": [{"use": "official", "system": NPI_SYSTEM, "value": npi}],
        "active": True,
        "name": [name],
    }
    return resource | _telecom(member)


def _role(fhir_id: str, member: MemberRow, provider: str) -> Resource:
    resource: Resource = {
        "resourceType": "PractitionerRole",
        "id": fhir_id,
        "active": True,
        "organization": {"reference": provider},
        "code": [{"coding": [{"system": _ROLE, "code": "lead-care-manager"}]}],
    }
    return resource | _telecom(member)


def _telecom(member: MemberRow) -> Resource:
    pairs = (("phone", member.lcm_phone), ("email", member.lcm_email))
    found = [{"system": system, "value": value, "use": "work"} for system, value in pairs if value]
    return {"telecom": found} if found else {}
