"""Operations one after the other, and all that is wrong with them at once, each by its index."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.patching.work import Work

MAX_OPERATIONS = 1_000
MAX_ISSUES = 50
WHOLE = ""
"""Stands among the elements that an operation touches for the resource as a whole."""


class Refused(Exception):
    """One operation cannot be done. element: FHIRPath of the place, where its spelling is that of elements."""

    def __init__(self, sentence: str, element: str | None = None, code: str = ""):
        super().__init__(sentence)
        self.sentence, self.element, self.code = sentence, element, code


class Operation(NamedTuple):
    """touches: top-level elements that it reads or writes. perform: changes the resource, or raises Refused."""

    name: str
    touches: frozenset[str]
    perform: Callable[[Resource, Work], Resource]
    harmless: bool = False
    """A test changes nothing: what follows can be judged although it failed."""


def perform_all(resource: Resource, operations: Sequence[Operation], work: Work) -> Resource:
    """The resource after all operations; 422 with every operation that failed by itself.

    Operations on an element that a former failure left in doubt are not judged: their faults may come from that one.
    """
    issues: list[Issue] = []
    doubtful: set[str] = set()
    for number, operation in enumerate(operations):
        doubt = bool(doubtful and (WHOLE in doubtful or WHOLE in operation.touches or doubtful & operation.touches))
        try:
            resource = operation.perform(resource, work)
        except Refused as refused:
            if not doubt:
                issues.append(issue(number, operation.name, refused))
            if not operation.harmless:
                doubtful |= operation.touches
        if doubt:
            doubtful |= operation.touches
    if issues:
        raise FhirError(Category.RULE, issues[:MAX_ISSUES], reason="patch")
    return resource


def issue(number: int, name: str, refused: Refused) -> Issue:
    what = f"operation[{number}]" + (f" ({name})" if name else "")
    return Issue(f"{what}: {refused.sentence}", refused.element, refused.code or "business-rule")


T = TypeVar("T")


def read_all(rows: Iterable[T], read: Callable[[T], Operation], name_of: Callable[[T], Any]) -> tuple[Operation, ...]:
    """Every operation of a document; 400 with all of them that cannot be read."""
    found: list[Operation] = []
    issues: list[Issue] = []
    for number, row in enumerate(rows):
        if number == MAX_OPERATIONS:
            text = f"A patch holds at most {MAX_OPERATIONS} operations: send it in parts."
            raise FhirError(Category.MALFORMED, [Issue(text, code="too-costly")], reason="patch")
        try:
            found.append(read(row))
        except Refused as refused:
            name = name_of(row)
            known = name if isinstance(name, str) and name.isalpha() and len(name) < 10 else ""
            problem = issue(number, known, refused)
            issues.append(Issue(problem.diagnostics, problem.expression, refused.code or "structure"))
    if issues:
        raise FhirError(Category.MALFORMED, issues[:MAX_ISSUES], reason="patch")
    return tuple(found)
