"""Accounting of disclosures of a member: what left to organizations other than the one that wrote it.

What counts: every answer (read, search, history, $everything, $match, notice) with outcome 0 that held data about the
member which another organization than the recipient's wrote. `required`: what 45 CFR 164.528 wants accounted for, that
is not for treatment, payment or operations (six years), or by consent to 42 CFR Part 2 data (2.25: three years).

Who asks over the API or a page does not hear where labelled data of others went to others: that would tell what a label
hides. The operator's command (`enlace audit disclosures`) lists all.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import parse
from service.clock import instant
from service.search.restriction import EVERYTHING
from service.store import disclosed, read, written
from service.store.audit_rows import StoredAudit
from service.store.engine import Store

YEAR_US = 365 * 86_400_000_000 + 21_600_000_000
YEARS, YEARS_CONSENTED = 6, 3
MOST = 20_000
"""Rows of one accounting; more are told to be there, never left out in silence."""
TPO = frozenset("TREAT ETREAT HPAYMT HOPERAT COVERAGE CAREMGT COC".split())
"""Purposes of use for treatment, payment and operations (v3-ActReason)."""
COLUMNS = (
    "date",
    "recipient",
    "recipient_reference",
    "address",
    "person_or_system",
    "what",
    "from",
    "purpose",
    "basis",
)


@dataclass(frozen=True)
class Disclosure:
    """One answer to one recipient. authors: references of who wrote what was disclosed."""

    row: StoredAudit
    at_us: int
    recipient: str
    recipient_name: str
    address: str
    actor: str
    kinds: tuple[tuple[str, int], ...]
    authors: tuple[str, ...]
    purpose: str
    consents: tuple[str, ...]
    required: bool

    @property
    def what(self) -> str:
        return ", ".join(f"{count} {rtype}" for rtype, count in self.kinds)

    @property
    def basis(self) -> str:
        if self.consents:
            return f"consent: {', '.join(self.consents)}"
        return "to be accounted for" if self.required else "treatment, payment or operations"


@dataclass(frozen=True)
class Accounting:
    patient: str
    since_us: int
    disclosures: tuple[Disclosure, ...]
    cut: bool
    """Whether there are more, older ones."""


async def account(
    store: Store,
    patient: str,
    now_us: int,
    *,
    since_us: int = 0,
    until_us: int | None = None,
    most: int = MOST,
    asker: str = "",
) -> Accounting:
    """Newest first. Names and addresses are those of today; who asks is for the caller to have checked.

    asker: the organization for which it is, "" for the operator.
    """
    since_us = max(since_us, now_us - YEARS * YEAR_US)
    until_us = now_us + 1 if until_us is None else until_us
    rows, cut = await disclosed.of_patient(store, store.keys.resource(patient), since_us, until_us, most)
    own = store.keys.resource(asker) if asker else 0
    mine = [(row, _given(row, patient, None if asker in ("", row.organization) else own)) for row in rows]
    authors = await written.references(store, (author for _, given in mine for _, _, author in given))
    parties = await read.heads(store, sorted({row.organization for row, _ in mine if row.organization}), EVERYTHING)
    known = {reference: parse(found.body) for reference, found in parties.items() if found.body}
    found = [
        _disclosure(row, given, patient, authors, known, consented=not _by_others(row, given, asker, own))
        for row, given in mine
        if given
    ]
    kept = [one for one in found if not one.consents or one.at_us >= now_us - YEARS_CONSENTED * YEAR_US]
    return Accounting(patient, since_us, tuple(kept), cut)


def _given(row: StoredAudit, patient: str, own: int | None) -> list[tuple[str, int, int]]:
    """(type, how many, key of the author) of what the row shows of this patient.

    own: key of who asks: labelled data that others wrote is left out. None: all.
    """
    number = row.patients.index(patient) if patient in row.patients else -1
    return [
        (str(rtype), int(count), int(author))
        for at, rtype, count, author, *labels in row.more["d"]
        if at == number and (own is None or int(author) == own or not any(labels))
    ]


def _by_others(row: StoredAudit, given: list[tuple[str, int, int]], asker: str, own: int) -> bool:
    """Then the Consents are not told either: they are consulted for what bears a label."""
    return asker not in ("", row.organization) and all(author != own for _, _, author in given)


def _disclosure(
    row: StoredAudit,
    given: list[tuple[str, int, int]],
    patient: str,
    authors: dict[int, str],
    known: dict[str, Resource],
    *,
    consented: bool,
) -> Disclosure:
    counts: dict[str, int] = {}
    for rtype, count, _ in given:
        counts[rtype] = counts.get(rtype, 0) + count
    party = known.get(row.organization, {})
    consents = (row.more.get("consents") if consented else None) or ()
    consents = tuple(consents.get(patient, ()) if isinstance(consents, dict) else consents)
    return Disclosure(
        row,
        row.at_us,
        row.organization,
        str(party.get("name") or row.organization or "unknown"),
        _address(party),
        str(row.actor),
        tuple(sorted(counts.items())),
        tuple(sorted({authors.get(author, "unknown") for _, _, author in given})),
        row.purpose,
        consents,
        bool(consents) or row.purpose not in TPO,
    )


def _address(party: Resource) -> str:
    for one in party.get("address") or ():
        place = " ".join(str(one[name]) for name in ("state", "postalCode") if one.get(name))
        parts = [*map(str, one.get("line") or ()), str(one.get("city") or ""), place]
        return str(one.get("text") or ", ".join(part for part in parts if part))
    return ""


# --- as a table ----------------------------------------------------------------------------------------------------


def as_rows(disclosures: Sequence[Disclosure]) -> list[dict[str, str]]:
    """Columns in the order of COLUMNS."""
    return [
        dict(
            zip(
                COLUMNS,
                (
                    instant(one.at_us),
                    one.recipient_name,
                    one.recipient,
                    one.address,
                    one.actor,
                    one.what,
                    ", ".join(one.authors),
                    one.purpose,
                    one.basis,
                ),
                strict=True,
            )
        )
        for one in disclosures
    ]


def to_csv(disclosures: Sequence[Disclosure]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([[_cell(value) for value in row.values()] for row in as_rows(disclosures)])
    return out.getvalue()


def _cell(value: str) -> str:
    """A20: no cell begins as a formula does; a spreadsheet would run it."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%") else value
