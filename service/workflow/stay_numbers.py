"""What a message says of numbers: under which a stay goes, which go on under another one, which concern several stays.

Facts: ../shared/facts/adt.md 1.1 (A35 A41 A42 A44 A45 A49 A50), 1.6. Pure. A merge leads to what survives it; a mere
new number leads back to the old one, so that a stay keeps its Encounter when it is renumbered.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mappers.hl7v2.event import AdtEvent, Identifier, Merge
from service.workflow.member_match import MRN_TYPES, PANEL_AUTHORITIES, mrn_system
from service.workflow.stay_aliases import Edge
from service.workflow.stay_identity import numbered

ACCOUNT_MERGES = frozenset({"merge-account"})
RENUMBERED = frozenset({"change-visit", "move-visit"})
MOVES = frozenset({"move-visit", "move-account"})
"""The stay was another person's: whom this message names it is from now on."""
ABOUT_A_NUMBER = MOVES | {"demographics", "delete-person"}
"""Effects that are kept with a number and count for the stays that are under it."""
PERSON = "person-"

PersonKey = Callable[[str, str], str]
"""(system, number) of a record number -> its key: a keyed hash, since record numbers are short."""


@dataclass(frozen=True)
class Numbered:
    """keys: stays and accounts that the message speaks of. edges: which of them go on under another."""

    keys: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()


def numbers_of(event: AdtEvent, person: PersonKey) -> tuple[str, ...]:
    """Of the account and the record numbers under which a message of a visit came."""
    stay = event.stay
    found = [numbered("account", event.source, a, stay.account) for a in _places(event, stay.account_authority)]
    return (*(found if stay.account else ()), *persons(event, event.patient.ids, person))


def persons(event: AdtEvent, ids: tuple[Identifier, ...], person: PersonKey) -> tuple[str, ...]:
    return tuple(dict.fromkeys(person(mrn_system(event, i), i.value) for i in record_numbers(ids)))


def record_numbers(ids: tuple[Identifier, ...]) -> list[Identifier]:
    return [i for i in ids if i.type in MRN_TYPES and i.value and not {i.authority, i.system} & PANEL_AUTHORITIES]


def said_of_numbers(event: AdtEvent) -> Numbered:
    """Of a merge, move or change: the keys that it joins and those on which it counts."""
    edges = [edge for merge in event.merges for edge in _edges(event, merge)]
    keys: list[str] = []
    for merge in event.merges:
        if event.effect == "move-account":
            keys += _accounts(event, merge, merge.retired_account)
            keys += _accounts(event, merge, merge.surviving_account)
        elif merge.surviving_visit:
            keys.append(_visits(event, merge, merge.surviving_visit)[0])
        elif event.effect == "move-visit":
            keys += _visits(event, merge, merge.retired_visit)
    keys += [key for edge in edges for key in (edge.stay, edge.target)]
    return Numbered(tuple(dict.fromkeys(keys)), tuple(dict.fromkeys(edges)))


def _edges(event: AdtEvent, merge: Merge) -> Iterator[Edge]:
    at_us = event.occurred or event.message_time or 0
    visits = _visits(event, merge, merge.retired_visit), _visits(event, merge, merge.surviving_visit)
    accounts = _accounts(event, merge, merge.retired_account), _accounts(event, merge, merge.surviving_account)
    if event.effect in RENUMBERED:
        yield from _between(visits[1], visits[0], at_us)
    elif event.effect == "merge-visit":
        yield from _between(visits[0], visits[1], at_us)
    if event.effect in ACCOUNT_MERGES or event.code == "A36":
        yield from _between(accounts[0], accounts[1], at_us)
    elif event.effect == "change-id":
        yield from _between(accounts[1], accounts[0], at_us)


def _between(stays: list[str], targets: list[str], at_us: int) -> Iterator[Edge]:
    """The number with and without its authority: PID-18 is mostly sent without one, MRG-3 with it."""
    if not stays or not targets or set(stays) & set(targets):
        return
    yield from (Edge(stay, targets[0], at_us) for stay in stays)
    yield from (Edge(other, targets[0], at_us) for other in targets[1:])


def _visits(event: AdtEvent, merge: Merge, number: str) -> list[str]:
    told = (merge.surviving_visit_authority, merge.retired_visit_authority)
    return _keys("visit", event, number, told if number == merge.surviving_visit else told[::-1])


def _accounts(event: AdtEvent, merge: Merge, number: str) -> list[str]:
    told = (merge.surviving_account_authority, merge.retired_account_authority)
    return _keys("account", event, number, told if number == merge.surviving_account else told[::-1])


def _keys(kind: str, event: AdtEvent, number: str, authorities: tuple[str, ...]) -> list[str]:
    if not number:
        return []
    return list(dict.fromkeys(numbered(kind, event.source, a, number) for a in _places(event, *authorities)))


def _places(event: AdtEvent, *authorities: str) -> list[str]:
    return list(dict.fromkeys([*(a for a in authorities if a), event.stay.facility]))
