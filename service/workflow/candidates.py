"""What the store knows of each identity in an ADT event: the candidates that member_match.py judges."""

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context, parse
from service.search.dates import parse as parse_date
from service.store import matches, stays
from service.store.matches import Merged, Number
from service.store.together import each, together
from service.workflow.member_match import Candidate, Lookup, candidates_wanted
from service.workflow.record_numbers import MOST, leads_to

CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
BORN = 2_000
"""Members of one birth date that are compared. On 1 January many seem to be born, being without papers."""


class Candidates:
    """The lookups of one decision, each asked once: the messages of a stay mostly ask the same."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._asked: dict[Lookup, list[Candidate]] = {}
        self._born: dict[str, list[Candidate]] = {}
        self._numbers: dict[Number, list[Number]] = {}

    async def of(self, event: AdtEvent) -> dict[Lookup, list[Candidate]]:
        """A number of ours or of Medi-Cal that is known decides: who shares a birth date is not read then."""
        await self.by_number(event)
        found: dict[Lookup, list[Candidate]] = {}
        for lookup in candidates_wanted(event):
            if lookup.kind == "demographics" and any(found[known] for known in found if known.kind in ("panel", "cin")):
                continue
            found[lookup] = await self._find(lookup)
        return found

    async def by_number(self, event: AdtEvent) -> None:
        """Asks for all but who is like the person, at once: `of` finds it asked."""
        wanted = (lookup for lookup in candidates_wanted(event) if lookup.kind != "demographics")
        await each(self._ctx.store, map(self._find, wanted))

    async def born(self, day: str) -> list[Candidate]:
        """Members of this birth date (YYYY-MM-DD)."""
        if day not in self._born:
            store, (low, high) = self._ctx.store, parse_date(day)
            rows = await stays.patients_born(store, store.keys.values("Patient", "birthdate"), low, high, BORN)
            self._born[day] = _made(rows)
        return self._born[day]

    async def numbers(self, number: Number) -> list[Number]:
        """Where the number goes on, and what else goes on as that."""
        if number not in self._numbers:
            self._numbers[number] = leads_to(number, await self._merges(number))
        return self._numbers[number]

    async def _find(self, lookup: Lookup) -> list[Candidate]:
        if lookup not in self._asked:
            self._asked[lookup] = await self._rows(lookup)
        return self._asked[lookup]

    async def _rows(self, lookup: Lookup) -> list[Candidate]:
        store, keys = self._ctx.store, self._ctx.store.keys
        if lookup.kind == "panel":
            return _made(await stays.patient_by_id(store, lookup.value))
        if lookup.kind == "cin":
            key = keys.token("Patient", "identifier", CIN_SYSTEM, lookup.value)
            return _made(await stays.patients_by_key(store, key))
        if lookup.kind == "mrn":
            return await self._bearers((lookup.scope, lookup.value))
        return await self.born(lookup.scope)

    async def _bearers(self, number: Number) -> list[Candidate]:
        """Those of the number that goes on; of a retired one only where that is known of nobody."""
        end, *retired = await self.numbers(number)
        store = self._ctx.store
        key = store.keys.token("Patient", "identifier", *end)
        rows, linked = await together(store, stays.patients_by_key(store, key), matches.linked(store, [end]))
        found = dict(rows)
        for reference in linked.values():
            found.update(await stays.patient_by_id(store, reference.partition("/")[2]))
        if not found:
            for reference in (await matches.linked(store, retired)).values():
                found.update(await stays.patient_by_id(store, reference.partition("/")[2]))
        return _made(list(found.items()))

    async def _merges(self, number: Number) -> list[Merged]:
        found: dict[Merged, None] = {}
        known, todo = {number}, [number]
        while todo and len(known) <= MOST:
            rows = await matches.merges_at(self._ctx.store, todo.pop())
            found.update(dict.fromkeys(rows))
            fresh = {n for row in rows for n in (row.number, row.into)} - known
            known |= fresh
            todo += sorted(fresh)
        return list(found)


async def candidates_of(ctx: Context, event: AdtEvent) -> dict[Lookup, list[Candidate]]:
    return await Candidates(ctx).of(event)


def _made(rows: list[tuple[str, bytes]]) -> list[Candidate]:
    return [Candidate(reference, parse(body)) for reference, body in rows]
