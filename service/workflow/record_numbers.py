"""Record numbers of a message, and where each goes on after merges (A40 and its kin): a function of all rows, pure.

Whatever the order in which merges came, the same rows give the same end: the latest merge of a number counts.
"""

from collections.abc import Iterable, Sequence

from mappers.hl7v2.event import AdtEvent
from service.store.matches import Merged, Number
from service.workflow.member_match import MRN_TYPES, PANEL_AUTHORITIES, mrn_system

MERGES = frozenset({"merge", "change-id", "move-person"})
"""Effects that let a record number go on as another one; the move of a visit or an account leaves both as they are."""
MOST = 64
"""Numbers of one chain that are looked at: a hospital that merges more into one is merging by mistake."""


def numbers_of(event: AdtEvent) -> list[Number]:
    """The medical record numbers that the message gives its patient, as mrn_link and mrn_merge name them."""
    found = [
        (mrn_system(event, i), i.value)
        for i in event.patient.ids
        if i.type in MRN_TYPES and i.value and not {i.authority, i.system} & PANEL_AUTHORITIES
    ]
    return list(dict.fromkeys(found))


def merged_numbers(event: AdtEvent) -> list[tuple[Number, Number]]:
    """(retired, goes on as) for each number that a merge message retires.

    Where several numbers survive, the one of the same authority goes on.
    """
    found = []
    for merge in event.merges if event.effect in MERGES else ():
        into = [(mrn_system(event, i), i.value) for i in merge.surviving if i.type in MRN_TYPES and i.value]
        for old in merge.retired:
            if not (into and old.value and old.type in MRN_TYPES):
                continue
            number = (mrn_system(event, old), old.value)
            same = [one for one in into if one[0] == number[0]] or into
            if same[0] != number:
                found.append((number, same[0]))
    return list(dict.fromkeys(found))


def end_of(number: Number, merges: Iterable[Merged]) -> Number:
    """Where the number goes on in the end. In a circle (A into B, later B into A) the latest merge says it."""
    latest: dict[Number, Merged] = {}
    for one in merges:
        if one.number not in latest or _order(one) > _order(latest[one.number]):
            latest[one.number] = one
    path: list[Number] = []
    while number in latest and number not in path:
        path.append(number)
        number = latest[number].into
    if number in path:
        circle = [latest[one] for one in path[path.index(number) :]]
        return max(circle, key=_order).into
    return number


def leads_to(number: Number, merges: Sequence[Merged]) -> list[Number]:
    """The number that all goes on as, then those that were retired into it, in a fixed order."""
    end = end_of(number, merges)
    known = {one.number for one in merges} | {number}
    return [end, *sorted(one for one in known - {end} if end_of(one, merges) == end)]


def _order(one: Merged) -> tuple[int, int, Number]:
    return one.at_us, one.inbox_id, one.into
