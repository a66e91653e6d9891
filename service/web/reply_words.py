"""The words of the reply pages: catalogues reply_texts/en.json and es.json, and which of them a reader gets."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import orjson
from starlette.requests import Request

from service.notify.texts import LANGUAGES, spoken

FOLDER = Path(__file__).parent / "reply_texts"
Words = Callable[..., str]
"""(key, values of its holes) -> text; the template escapes it."""


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> dict[str, str]:
    found: dict[str, str] = orjson.loads((FOLDER / f"{language}.json").read_bytes())
    return found


def words(language: str) -> Words:
    texts = catalogue(language)

    def said(key: str, **values: str) -> str:
        return re.sub(r"\{([a-z]+)\}", lambda match: values[match[1]], texts[key])

    return said


def language_of(request: Request) -> str:
    """As the reader chose (`lang`), else as the browser asks; English where neither says Spanish."""
    chosen = request.query_params.get("lang", "")
    if chosen in LANGUAGES:
        return chosen
    asked = request.headers.get("accept-language", "")[:200]
    for one in asked.split(","):
        primary = one.split(";")[0].strip().partition("-")[0].lower()
        if primary in LANGUAGES:
            return spoken(primary)
    return "en"
