"""A review side by side: what the newest message of each stay says of its patient, and the records that may be meant.

The one place of matching that shows values: for a person who decides, and audited by whoever asks.
"""

from collections.abc import Iterable
from typing import Any

from fhir_profiles import Resource
from mappers.hl7v2.event import Patient
from service.access.context import Context
from service.store import stay_rows, waiting_terms
from service.store.reviews import Review
from service.workflow.match_evidence import CIN_SYSTEM, identifiers
from service.workflow.patient_likeness import person
from service.workflow.stay_world import message_of

Row = dict[str, str]


async def compared(ctx: Context, review: Review) -> tuple[list[Row], list[str]]:
    """(rows: one a fact, a column for the message and for each record, the references shown)."""
    rows = await stay_rows.messages(ctx.store, (await waiting_terms.keys_of_stay(ctx.store, review.stay))[1])
    people = [str(one["patient"]) for one in review.evidence.get("candidates", ())]
    people += [review.patient, *(row.patient for row in rows)]
    records: dict[str, Resource] = {}
    for reference in dict.fromkeys(p for p in people if p):
        found = await ctx.resource(reference)
        if found is not None:
            records[reference] = found[0]
    told = next((row for row in rows if row.inbox_id == review.inbox_id), rows[-1] if rows else None)
    columns = {"message": facts(message_of(told).event.patient)} if told else {}
    columns |= {reference: facts(person(record), record) for reference, record in records.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    return [{"fact": name} | {c: column.get(name, "") for c, column in columns.items()} for name in names], [*records]


def facts(who: Patient, record: Resource | None = None) -> dict[str, str]:
    cins: Iterable[Any] = who.cins
    if record is not None:
        cins = [i.get("value", "") for i in identifiers(record, CIN_SYSTEM)]
    return {
        "name": "; ".join(" ".join((*n.given, n.family, n.suffix)).strip() for n in who.names),
        "born": who.birth_date,
        "sex": who.sex,
        "cin": "; ".join(map(str, cins)),
        "numbers": "; ".join(i.value for i in who.ids),
        "ssn4": who.ssn4,
        "contacts": "; ".join(c.value for c in who.contacts),
        "addresses": "; ".join(" ".join((*a.lines, a.city, a.zip)).strip() for a in who.addresses),
    }
