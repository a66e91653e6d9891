"""Who asks, and how much a search may still cost: what query.py hands down to each parameter."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from service.search.clauses import Query
from service.search.syntax import Refused

MAX_LINKED = 20
"""Chains and _has of one search, each type that a chain may lead to counted: each is a query of its own."""

MAX_TRIED = 1_000
"""Types that are looked at for chains whose type is not named, whether or not they have what is asked for."""


def _nothing(_rtype: str) -> bool:
    return False


@dataclass(frozen=True)
class May:
    """What the caller may ask about; nothing unless said.

    search, read: whether the scopes let it search or read a type: a chain asks about another type's contents.
    labels: whether it may search by _security. That a label is there is as telling as what it protects, so only the
    service itself and its operator may (../shared/facts/security.md L16).
    """

    search: Callable[[str], bool] = _nothing
    read: Callable[[str], bool] = _nothing
    labels: bool = False


@dataclass
class Budget:
    """linked: chains so far. tried: types looked at for them. terms: comparisons in filters so far."""

    linked: int = 0
    tried: int = 0
    terms: int = 0


@dataclass(frozen=True)
class Asking:
    """One type of one search while it is read; `of` is the same search seen from a type that a chain leads to."""

    query: Query
    may: May
    spent: Budget = field(default_factory=Budget)

    @property
    def rtype(self) -> str:
        return self.query.rtype

    def of(self, rtype: str) -> "Asking":
        return Asking(replace(self.query, rtype=rtype), self.may, self.spent)

    def warn(self, sentence: str) -> None:
        self.query.warnings.append(sentence)

    def link(self) -> None:
        self.spent.linked += 1
        self.spent.tried += 1
        if self.spent.linked > MAX_LINKED or self.spent.tried > MAX_TRIED:
            text = f"makes the search follow more than {MAX_LINKED} chains; name a type, as in subject:Patient.name"
            raise Refused(text, "too-costly")
