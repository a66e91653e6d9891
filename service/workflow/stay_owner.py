"""Whose stay is it, and which of its messages count for that person? Pure; the same for every order of arrival.

Facts: ../shared/facts/adt.md 1.1 (A44, A45), 5. The first message that names a member decides, in the order in which
things happened; a move to another patient decides anew; what a person decided weighs more than both.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

SPARSE = frozenset(
    {"no-candidate", "demographics-insufficient", "placeholder-name", "identity-unknown", "newborn", "ambiguous"}
)
"""Reasons under which a message says too little to match by itself, but may belong to a stay that is matched.

Under every other reason it contradicts: it counts for nobody until a person has looked at it.
"""


@dataclass(frozen=True)
class Claim:
    """Whom one message names: own, the member that it matches by itself, "" with the reason. moves: A44, A45."""

    id: int
    own: str
    reason: str
    moves: bool = False


@dataclass(frozen=True)
class Decided:
    """What people decided of the stay: whose it is ("" if nobody said), whose it is certainly not; or no member's."""

    patient: str = ""
    refused: frozenset[str] = frozenset()
    nobody: bool = False


@dataclass(frozen=True)
class Owned:
    patient: str
    joined: frozenset[int]
    """Ids of the messages that count for the patient."""


def owned(claims: Sequence[Claim], decided: Decided = Decided()) -> Owned:
    """claims: in the order of events."""
    if decided.patient:
        return Owned(decided.patient, frozenset(c.id for c in claims))
    if decided.nobody:
        return Owned("", frozenset())
    said = [Claim(c.id, "", "refused", c.moves) if c.own in decided.refused else c for c in claims]
    moves = [n for n, claim in enumerate(said) if claim.moves]
    bounds = [*moves, len(said)]
    patient, joined = _era(said[: bounds[0]], frozenset())
    for number, at in enumerate(moves):
        later = said[at + 1 : bounds[number + 1]]
        refused = frozenset({patient} if patient else ())
        # The right person may be named in full by a later message only.
        patient = said[at].own or _era(later, refused)[0]
        joined |= {said[at].id, *_named(later, patient)}
    if not patient:
        return Owned("", frozenset())
    return Owned(patient, joined | _named([c for c in said if c.own], patient))


def _era(claims: Sequence[Claim], refused: Collection[str]) -> tuple[str, frozenset[int]]:
    patient = next((c.own for c in claims if c.own and c.own not in refused), "")
    return patient, _named(claims, patient)


def _named(claims: Sequence[Claim], patient: str) -> frozenset[int]:
    return frozenset(c.id for c in claims if (c.own == patient if c.own else c.reason in SPARSE))


def why_not(claim: Claim, owner: Owned) -> str:
    """The reason under which a message that counts for nobody waits."""
    if claim.own and owner.patient:
        return "stay-of-another-member"
    if claim.own:
        return "not-this-member"
    return claim.reason
