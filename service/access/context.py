"""What every interaction works with: who calls, what they see, where the data is, what time it is."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from service.access.audit_detail import detail_of, disclosed
from service.access.new_version import new_version
from service.access.roles import GRACED
from service.access.roles import restriction as restriction_of
from service.access.scoping import out_of_reach, reached, scoped
from service.caller import Caller, Role
from service.search.restriction import Restriction, See
from service.search.values import index_rows
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
    ecm_grace_days: int = 0
    """For so long an ECM provider still reads of a member whose assignment ended."""
    break_glass: bool = True
    """Whether people may open a record in an emergency."""
    egress_allow: tuple[str, ...] = ()
    """`host:port` to which requests may go beside public addresses: in the sandbox only."""
    channels: frozenset[str] = frozenset({"rest-hook", "websocket"})
    """Those that a Subscription may ask for here."""
    mail_encrypted: bool = False
    """Whether e-mail leaves encrypted, so that it may carry whole resources."""
    small_cell: int = 11
    """Counts from 1 up to below this are not shown in measures, to others than the operator."""
    unmatched_days: int = 30
    """For so long hospital messages of people who are no members keep their content. 0: for ever."""
    timer_days: int = 400
    """For so long a timer is kept after it ended. 0: for ever."""


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

    again: bool = False
    """Whether this is decided anew after a lost race: what was read before may have been out of date."""
    asked: str = ""
    """The request as sent, for the audit row of a search: method, path, query, form."""
    network: str = ""
    """Address of the client, for the audit row."""

    def __post_init__(self) -> None:
        self.at(self.now_us)

    def at(self, now_us: int) -> None:
        """Decides as of this instant: rights that ended meanwhile no longer count."""
        self.now_us = now_us
        self.seen: Restriction = restriction_of(self.caller, self.store.keys, now_us, env=self.settings.env)
        """What role, panel and consent show, scopes aside."""
        self.restriction: Restriction = self.scoped("r")
        """What the caller may read. For another letter: scoped()."""

    def scoped(self, letters: str) -> Restriction:
        """What the caller sees as far as its scopes reach with all of these letters of c r u d s."""
        return scoped(self.seen, self.caller, self.store.keys, letters)

    def reaches(self, letter: str, rtype: str, resource: Resource, patient: int | None) -> bool:
        """Whether the scopes reach a resource as it stands here: what is not stored, and former versions."""
        alternatives = self.scoped(letter).narrowed.get(rtype)
        if alternatives is None:
            return True
        return reached(alternatives, index_rows(resource, rtype, self.store.keys, self.settings.base_url), patient)

    def check_reach(self, letter: str, write: Write) -> None:
        """403 where a scope's query, or the launch Patient, does not fit what is written."""
        alternatives = self.scoped(letter).narrowed.get(write.rtype)
        if not reached(alternatives, write.index, write.patient):
            raise out_of_reach(letter, write.rtype)

    @property
    def grace_us(self) -> int:
        """For so long after its end an assignment still counts where this caller reads."""
        return self.settings.ecm_grace_days * _DAY_US if self.caller.role in GRACED else 0

    def for_reading(self, restriction: Restriction, *, views: bool = False) -> Restriction:
        """The restriction where nothing is written: with the grace after an assignment's end.

        views: also what is shown as a minimum view (service/access/views.py), for reads and includes only.
        """
        grace_us = self.grace_us
        views = views and See.VIEW in restriction.types.values()
        return replace(restriction, views=views, grace_us=grace_us) if views or grace_us else restriction

    @property
    def organization_key(self) -> int:
        return self.store.keys.resource(self.caller.organization)

    def new_id(self) -> str:
        return self.store.clock.new_id()

    def readable(self) -> Restriction:
        """The restriction narrowed to the types that the scopes let the caller read: for included resources."""
        return self._with("r")

    def linkable(self) -> Restriction:
        """As readable(), for what chains and _has ask about: that is read and searched."""
        return self._with("rs")

    def _with(self, letters: str) -> Restriction:
        unrestricted = self.seen.unrestricted
        scopes = (self.caller.role, self.caller.scopes, self.caller.patient is None, unrestricted, letters)
        types = _WITH.get(scopes)
        if types is None:
            rules = dict.fromkeys(catalog().types, See.OPEN) if unrestricted else self.seen.types
            allows = self.caller.allows
            types = {t: rule for t, rule in rules.items() if all(allows(letter, t) for letter in letters)}
            if len(_WITH) > 1000:
                _WITH.clear()
            _WITH[scopes] = types
        return replace(self.scoped(letters), types=types, unrestricted=False)

    async def head(self, reference: str) -> Found | None:
        """The current version of a resource that this caller may see; None also for a deletion.

        Where the token has scopes to read the type they narrow this, where it has none they do not.
        """
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
        return tuple(dict.fromkeys(patient for patient in map(self._patient_of, found) if patient))

    def _patient_of(self, one: Found) -> str:
        if one.patient is None or one.body is None:
            return ""
        if one.rtype == "Patient":
            return one.reference
        for match in _PATIENT.finditer(one.body):
            reference = match[1].decode()
            if self.store.keys.resource(reference) == one.patient:
                return reference
        return ""

    def audit(
        self,
        action: str,
        kind: str,
        target: str,
        patients: Sequence[str] = (),
        *,
        outcome: int = 0,
        reason: str = "",
        shown: Sequence[Found] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> AuditRow:
        """shown: what the answer holds; their patients are those of the row too. detail: more of it, as JSON takes."""
        whose = [self._patient_of(one) for one in shown]
        named = tuple(dict.fromkeys((*patients, *filter(None, whose))))
        given = [] if self.caller.role is Role.SYSTEM else disclosed(named, whose, shown, self.organization_key)
        return AuditRow(
            action,
            kind,
            outcome,
            self.caller.agent if self.caller.person else self.caller.client_id,
            self.caller.organization,
            target,
            named,
            self.request_id,
            reason,
            self.caller.purpose,
            detail_of(self.caller, kind, self.asked, self.network, given, detail),
            tuple(shown),
        )


_DAY_US = 86_400_000_000
_PATIENT = re.compile(rb'"reference":"(?:[^"]*/)?(Patient/[A-Za-z0-9.-]{1,64})')
_WITH: dict[Any, dict[str, See]] = {}
_DECODE = json.JSONDecoder(parse_float=Decimal).decode
"""Made once: json.loads makes a decoder at each call that names a hook."""


def parse(body: bytes | None) -> Resource:
    """A stored body as a dict; decimals keep their digits."""
    if body is None:
        raise ValueError("a deletion has no body")
    stored: Resource = _DECODE(bytes(body).decode())
    return stored
