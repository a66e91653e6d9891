"""What a clause needs to know of the whole query."""

from dataclasses import dataclass, field
from datetime import tzinfo

from service.search.keys import Keys


@dataclass
class Query:
    """warnings collects sentences for the answer."""

    rtype: str
    keys: Keys
    now_us: int
    base_url: str
    zone: tzinfo
    warnings: list[str] = field(default_factory=list)

    def nothing(self) -> int:
        """A key that no resource has."""
        return self.keys.of("0", "nothing")
