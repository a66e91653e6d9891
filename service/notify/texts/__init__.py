"""What people read: the catalogues en.json and es.json, key -> subject, text (e-mail, in-app), sms (short).

No placeholder can carry PHI: each is a number or an address of this service, and `said` takes nothing else.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "es")
PLACEHOLDERS = {
    "code": r"[0-9]{6}",
    "count": r"[0-9]{1,9}",
    "first": r"[0-9]{1,18}",
    "last": r"[0-9]{1,18}",
    "link": r"https?://[!-~]{1,400}",
}
"""Placeholder -> form of its value."""
_HOLE = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class Said:
    subject: str
    text: str
    sms: str


def said(key: str, language: str, **values: int | str) -> Said:
    """The texts of a key with its placeholders filled. language: BCP 47; of an unknown one, English.

    Raises KeyError for an unknown key or a missing value, ValueError for a value that does not have its form.
    """
    entry = catalogue(spoken(language))[key]

    def filled(match: re.Match[str]) -> str:
        value = str(values[match[1]])
        if not re.fullmatch(PLACEHOLDERS[match[1]], value):
            raise ValueError(f"the value of {{{match[1]}}} does not have its form")
        return value

    return Said(*(_HOLE.sub(filled, entry[part]) for part in ("subject", "text", "sms")))


def spoken(language: str) -> str:
    """The catalogue for a language: es-MX is es, what is not there is en."""
    primary = language.replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else "en"


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = orjson.loads((FOLDER / f"{language}.json").read_bytes())
    return found
