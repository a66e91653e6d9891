"""Strings as they are indexed and searched: without case, accents and extra space.

Source: https://hl7.org/fhir/R4/search.html#string
"""

import hashlib
import unicodedata
from functools import lru_cache
from typing import Any

LIMIT = 200
"""Characters of a value that are indexed; a search for more is refused, never cut."""

SEPARATOR = "\x1f"
"""Stands between the normalised form and the value as sent: smaller than any character of a normalised string."""


def normalise(value: str) -> str:
    """Casefolded, decomposed, without marks; white space and controls folded to one space; the first 200 characters."""
    value = value[: 8 * LIMIT]
    if not value.isascii():
        value = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", value).casefold())
        value = "".join(char for char in value if not unicodedata.category(char).startswith("M"))
    folded = " ".join(value.casefold().split())
    if not folded.isprintable():
        folded = " ".join("".join(char if char.isprintable() else " " for char in folded).split())
    return folded[:LIMIT].rstrip()


@lru_cache(maxsize=8_192)
def stored(value: str) -> str:
    """What stands in ix_str: the normalised form, and the value as sent behind a separator where it differs.

    So a prefix search compares the front, and `:exact` is one equality, on the same row.
    """
    folded = normalise(value)
    if folded == value:
        return folded
    if len(value) > LIMIT:  # an index row has a size limit, so the rest of a long value counts by its hash
        value = value[:LIMIT] + SEPARATOR + hashlib.blake2b(value.encode(), digest_size=8).hexdigest()
    return folded + SEPARATOR + value


NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


def texts_of(value: Any, datatype: str) -> list[str]:
    """The strings of a string, HumanName or Address, as sent."""
    if datatype == "HumanName":
        return _members(value, NAME_PARTS)
    if datatype == "Address":
        return _members(value, ADDRESS_PARTS)
    return [value] if isinstance(value, str) else []


def _members(value: Any, names: tuple[str, ...]) -> list[str]:
    out: list[str] = []
    for name in names:
        part = value.get(name)
        if isinstance(part, str):
            out.append(part)
        elif part:
            out += [item for item in part if isinstance(item, str)]
    return out
