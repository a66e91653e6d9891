"""A FHIR request without HTTP: one that came by itself, or the entry of a Bundle. https://hl7.org/fhir/R4/http.html"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.access.context import Context
from service.interactions.decision import Preconditions
from service.interactions.settle import Decide

Params = list[tuple[str, str]]


class Body(Protocol):
    """content_type: lower case, without its parameters; "" where none was sent."""

    content_type: str

    async def json(self) -> Any:
        """The parsed body, whatever its content type says: 400 where it is no JSON."""
        ...

    async def resource(self) -> Any:
        """A resource in one of the formats that we read (415 else), as parsed JSON."""
        ...

    async def form(self) -> Params:
        """The parameters of a POST search."""
        ...


class NoBody:
    content_type = ""

    async def json(self) -> Any:
        return None

    async def resource(self) -> Any:
        return None

    async def form(self) -> Params:
        return []


@dataclass(frozen=True)
class Call:
    """method: upper case. type, id: "" where the path has none. part: version id, or the type in a compartment.

    params: of the query, in order. prefer: preferences, lower case. body: read at most once.
    """

    method: str
    type: str = ""
    id: str = ""
    part: str = ""
    params: Params = field(default_factory=list)
    pre: Preconditions = field(default_factory=Preconditions)
    prefer: dict[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=NoBody)

    @property
    def strict(self) -> bool:
        return self.prefer.get("handling") == "strict"


Handler = Callable[[Context, Call], Awaitable[Decide]]
"""Reads the call once and gives the function that decides; that is called again after a lost race."""
