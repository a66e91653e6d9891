"""A version from the outbox as topics and filters ask about it: its resource, the one before, and their index rows.

Each is made when it is first asked for, and once, however many topics and subscriptions look at it.
"""

from functools import cached_property

from fhir_profiles import Resource
from service.access.context import parse
from service.notify.model import Item
from service.search.fits import Head
from service.search.index_rows import IndexRows
from service.search.keys import Keys
from service.search.values import index_rows
from service.store.slots import updated_us

EMPTY = IndexRows()


class Version:
    """Raises ValueError, KeyError or TypeError where a stored body cannot be read."""

    def __init__(self, item: Item, keys: Keys, base_url: str):
        self.item, self.keys, self.base_url = item, keys, base_url

    @property
    def interaction(self) -> str:
        """As a subscriber sees it: what is written after a deletion is made anew."""
        if self.item.body is None:
            return "delete"
        return "create" if self.item.before is None else "update"

    @cached_property
    def resource(self) -> Resource | None:
        """None for a deletion."""
        return None if self.item.body is None else parse(self.item.body)

    @cached_property
    def before(self) -> Resource | None:
        """None where there was no version before, or where that was a deletion."""
        return None if self.item.before is None else parse(self.item.before)

    @cached_property
    def rows(self) -> IndexRows:
        return self._rows(self.resource)

    @cached_property
    def rows_before(self) -> IndexRows:
        return self._rows(self.before)

    @property
    def told(self) -> IndexRows:
        """What filters ask about: a deletion is told to those who were told of what it deletes."""
        return self.rows if self.item.body is not None else self.rows_before

    @cached_property
    def head(self) -> Head:
        return Head(self.item.fhir_id, updated_us(self.item.vid))

    def _rows(self, resource: Resource | None) -> IndexRows:
        return EMPTY if resource is None else index_rows(resource, self.item.rtype, self.keys, self.base_url)
