"""What an interaction decided: a Change to commit, and how to answer once it is durable."""

from collections.abc import Callable
from dataclasses import dataclass, field

from service.store.change import Change, Committed, Written


@dataclass(frozen=True)
class Answer:
    """The response without HTTP: status, body, and the facts that headers are made of."""

    status: int
    body: bytes | None = None
    version: int | None = None
    vid: int | None = None
    location: str | None = None
    """Relative reference of what was created or updated."""
    notice: bytes | None = None
    """OperationOutcome about protected data in the body (service/interactions/notices.py)."""


@dataclass
class Decision:
    change: Change
    answer: Callable[[Committed], Answer]
    retry: bool = True
    """Whether losing a race may be decided again: not where the client named the version."""
    durable: bool = False
    """Everything is committed already, nothing of the change is left: a transaction has its own way of settling."""


def fixed(answer: Answer) -> Callable[[Committed], Answer]:
    return lambda _committed: answer


def of_write(status: int, index: int = 0) -> Callable[[Committed], Answer]:
    """Answers with what the commit made of one of the writes."""

    def answer(committed: Committed) -> Answer:
        written: Written = committed.written[index]
        return Answer(status, written.body, written.version, written.vid, written.reference)

    return answer


@dataclass(frozen=True)
class Preconditions:
    """Conditional headers, already read: versions for If-Match / If-None-Match, the query of If-None-Exist.

    if_modified_since: seconds since 1970. any_version: `If-None-Match: *`, which excludes whatever is there.
    """

    if_match: tuple[int, ...] | None = None
    if_none_match: tuple[int, ...] | None = None
    if_none_exist: tuple[tuple[str, str], ...] | None = None
    if_modified_since: int | None = None
    any_version: bool = field(default=False)
