"""The strict reader in front of the JWT library: check T6 of security.md 1.1; https://www.rfc-editor.org/rfc/rfc7515

Libraries disagree about duplicate keys, padding and depth: what is ambiguous is refused before any key is touched.
"""

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from service.auth.refusal import ClientRefused

MAX_TEXT = 8192
MAX_DEPTH = 5
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True)
class Unverified:
    """A well-formed JWT of which nothing is believed yet."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]


def read_jwt(text: str) -> Unverified:
    """Three canonical base64url parts, header and payload one JSON object each; raises ClientRefused."""
    if len(text) > MAX_TEXT:
        raise ClientRefused("malformed-length")
    match = _COMPACT.fullmatch(text)
    if match is None:
        raise ClientRefused("malformed-parts")
    header, claims, signature = match.groups()
    _decode(signature)
    return Unverified(text, _read_object(_decode(header)), _read_object(_decode(claims)))


def _decode(part: str) -> bytes:
    """Only the one canonical spelling: a second spelling of a signature would be a second assertion."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise ClientRefused("malformed-base64") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        raise ClientRefused("malformed-base64")
    return raw


def _read_object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        if _depth(text) > MAX_DEPTH:
            raise ClientRefused("malformed-depth")
        value = json.loads(
            text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite, strict=True
        )
        if not isinstance(value, dict):
            raise ClientRefused("malformed-not-an-object")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be encoded
    except (ValueError, RecursionError):
        raise ClientRefused("malformed-json") from None
    return value


def _depth(text: str) -> int:
    """Deepest nesting, counted before parsing, so that the parser is never led into deep recursion."""
    deepest = depth = 0
    for letter in _STRINGS.sub("", text):
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value
