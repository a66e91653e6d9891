"""SQL texts that ask something else: each word that decides is exchanged for another, one place at a time."""

import re
from collections.abc import Iterator

_WORDS = re.compile(r"\b(SELECT|AND|OR|EXISTS|IN|WHERE|CASE|COALESCE|IS NULL|GROUP BY)\b|<>|[<>]=?| = |^= |^<|^>")
_OTHERS = {
    "AND": ("OR",),
    "OR": ("AND",),
    "NOT EXISTS": ("EXISTS",),
    "EXISTS": ("NOT EXISTS",),
    "NOT IN": ("IN",),
    "IN": ("NOT IN",),
    "NOT": ("",),
    "IS NULL": ("IS NOT NULL",),
    "MAX": ("MIN",),
    "<>": ("=",),
    "<=": ("<", ">"),
    ">=": (">", "<"),
    "<": ("<=", ">="),
    ">": (">=", "<="),
    " = ": (" <> ",),
    " & ": (" | ",),
    " % ": (" / ",),
    "JOIN": ("CROSS JOIN",),
}
_PLACES = re.compile(r"\b(?:NOT EXISTS|EXISTS|NOT IN|IN|NOT|AND|OR|IS NULL|MAX)\b|<>|<=|>=|<|>| = | & | % ")
_NUMBERS = re.compile(r"(?<![\w?])(?<!SELECT )\d+(?!\w)")
"""What an EXISTS selects is no matter."""
_QUOTED = re.compile(r"'[^']+'")


def is_sql(text: str) -> bool:
    """Upper-case words of SQL; a part of an f-string counts by its own words."""
    return bool(_WORDS.search(text)) and not re.search(r"[a-z]{3,}[.:] |[A-Z][a-z]+ [a-z]+ [a-z]+", text)


def other_sql(text: str) -> Iterator[str]:
    for place in _PLACES.finditer(text):
        for other in _OTHERS[place.group()]:
            yield text[: place.start()] + other + text[place.end() :]
    for place in _NUMBERS.finditer(text):
        yield text[: place.start()] + str(int(place.group()) + 1) + text[place.end() :]
    for place in _QUOTED.finditer(text):
        yield text[: place.start()] + place.group()[:-1] + "XX'" + text[place.end() :]
