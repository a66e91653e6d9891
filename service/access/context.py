"""What every interaction works with: who calls, what they see, where the data is, what time it is."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from service.access.new_version import new_version
from service.access.roles import restriction as restriction_of
from service.caller import Caller
from service.search.restriction import Restriction, See
from service.store import read
from service.store.change import AuditRow, Write
from service.store.engine import Store
from service.store.read import Found


@dataclass(frozen=True)
class Settings:
    """The few settings that decide behaviour below the HTTP edge."""

    env: str = "sandbox"
    base_url: str = "http://127.0.0.1:8000/fhir"
    page_key: bytes = b""
    """Seals page links."""


@dataclass(frozen=True)
class Pending:
    """A resource as it will stand when the transaction that is being decided has committed.

    resource: None once deleted. version: that it replaces (ABSENT: none). targets: whereto its references lead.
    """

    resource: Resource | None
    version: int
    targets: frozenset[str] = frozenset()


@dataclass
class Context:
    """One request (or job) of one caller at one instant."""

    store: Store
    caller: Caller
    now_us: int
    settings: Settings = field(default_factory=Settings)
    request_id: str = ""
    pending: dict[str, Pending] = field(default_factory=dict)
    """Relative reference -> what other entries of the same transaction make of it: the caller sees its own writes."""
    known: dict[str, bool] = field(default_factory=dict)
    """Relative reference -> whether the caller sees it: a transaction looks for all its references at once."""
    weight: int = 1
    """As how many requests this one counts against the client's rate: a Bundle is more than one."""

    def __post_init__(self) -> None:
        self.at(self.now_us)

    def at(self, now_us: int) -> None:
        """Decides as of this instant: rights that ended meanwhile no longer count."""
        self.now_us = now_us
        self.restriction: Restriction = restriction_of(self.caller, self.store.keys, now_us, env=self.settings.env)

    @property
    def organization_key(self) -> int:
        return self.store.keys.resource(self.caller.organization)

    def new_id(self) -> str:
        return self.store.clock.new_id()

    def readable(self) -> Restriction:
        """The restriction narrowed to the types that the scopes let the caller read: for included resources."""
        scopes = (self.caller.role, self.caller.scopes, self.restriction.unrestricted)
        types = _READABLE.get(scopes)
        if types is None:
            rules = (
                dict.fromkeys(catalog().types, See.OPEN) if self.restriction.unrestricted else self.restriction.types
            )
            types = {t: rule for t, rule in rules.items() if self.caller.allows("r", t)}
            if len(_READABLE) > 1000:
                _READABLE.clear()
            _READABLE[scopes] = types
        r = self.restriction
        return replace(r, types=types, unrestricted=False)

    async def head(self, reference: str) -> Found | None:
        """The current version of a resource that this caller may see, scopes aside; None also for a deletion."""
        rtype, _, fhir_id = reference.partition("/")
        found = await read.head(self.store, rtype, fhir_id, self.restriction)
        return None if found is None or found.deleted else found

    async def standing(self, references: Sequence[str]) -> set[str]:
        """Those of the references that lead to a resource which this caller may see, or writes in this transaction."""
        asked = [one for one in references if one not in self.pending and one not in self.known]
        found = await read.heads(self.store, asked, self.restriction) if asked else {}
        own = {one for one, pending in self.pending.items() if pending.resource is not None}
        return {one for one in references if one in found or one in own or self.known.get(one, False)} - self.leaving()

    def leaving(self) -> set[str]:
        """What this transaction deletes."""
        return {one for one, pending in self.pending.items() if pending.resource is None}

    def holders(self, reference: str, stored: Sequence[str], most: int) -> list[str]:
        """Who will refer to a resource: stored (at most `most` were looked for) and as this transaction changes it."""
        kept = [one for one in stored if one not in self.pending]
        if not kept and len(stored) >= most:
            return list(stored)  # there may be more than were looked for
        return kept + [
            one for one, pending in self.pending.items() if reference in pending.targets and one != reference
        ]

    async def resource(self, reference: str) -> tuple[Resource, int] | None:
        """(resource, version) as head(); of what this transaction writes, as it will be and the version it replaces."""
        own = self.pending.get(reference)
        if own is not None:
            return None if own.resource is None else (own.resource, own.version)
        found = await self.head(reference)
        return (parse(found.body), found.version) if found and found.body is not None else None

    def write(self, resource: Resource, expect: int, *, source_org: int | None = None) -> Write:
        """A Write of this caller's organization, or for another (an update keeps its author)."""
        return new_version(
            resource,
            expect,
            self.store.keys,
            source_org=self.organization_key if source_org is None else source_org,
            now_us=self.now_us,
            base_url=self.settings.base_url,
        )

    def patients_of(self, *found: Found) -> tuple[str, ...]:
        """References of the patients whom stored resources are about, for the audit row; no model is built.

        The text is searched for the reference whose key the row carries, so that no other patient is named.
        """
        patients: dict[str, None] = {}
        for one in found:
            if one.patient is None or one.body is None:
                continue
            if one.rtype == "Patient":
                patients[one.reference] = None
                continue
            for match in _PATIENT.finditer(one.body):
                reference = match[1].decode()
                if self.store.keys.resource(reference) == one.patient:
                    patients[reference] = None
                    break
        return tuple(patients)

    def audit(
        self,
        action: str,
        kind: str,
        target: str,
        patients: Sequence[str] = (),
        *,
        outcome: int = 0,
        reason: str = "",
    ) -> AuditRow:
        return AuditRow(
            action,
            kind,
            outcome,
            self.caller.agent if self.caller.person else self.caller.client_id,
            self.caller.organization,
            target,
            tuple(dict.fromkeys(patients)),
            self.request_id,
            reason,
            self.caller.purpose,
        )


_PATIENT = re.compile(rb'"reference":"(?:[^"]*/)?(Patient/[A-Za-z0-9.-]{1,64})')
_READABLE: dict[Any, dict[str, See]] = {}
_DECODE = json.JSONDecoder(parse_float=Decimal).decode
"""Made once: json.loads makes a decoder at each call that names a hook."""


def parse(body: bytes | None) -> Resource:
    """A stored body as a dict; decimals keep their digits."""
    if body is None:
        raise ValueError("a deletion has no body")
    stored: Resource = _DECODE(bytes(body).decode())
    return stored
