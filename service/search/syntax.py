"""How search values are written: escapes, OR lists; and the one way to refuse them.

Source: https://hl7.org/fhir/R4/search.html#escaping and #combining. What is refused is named by its parameter,
never by its value: values may be about a person.
"""

import re

from fhir_profiles.catalog import catalog

MAX_VALUE = 1_000
"""Characters of one value."""

_NAME = re.compile(r"[A-Za-z0-9_:.\-]{1,200}")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Refused(Exception):
    """One parameter cannot be executed: a sentence without values, and an issue code."""

    def __init__(self, sentence: str, code: str = "value"):
        self.sentence, self.code = sentence, code
        super().__init__(sentence)


class Unknown(Refused):
    """A name that is no search parameter of the type: left out with a warning, or refused where it ends a chain."""

    def __init__(self, rtype: str):
        self.rtype = rtype
        super().__init__(f"is not known for {rtype}", "not-supported")

    def inside(self) -> str:
        """The sentence where the name stands behind a reference or in a filter."""
        known = ", ".join(sorted(catalog().types[self.rtype].search))
        return f"asks {self.rtype} for a parameter that is not known there; known are: {known}"


class Several(Refused):
    """Several things are wrong with one parameter."""

    def __init__(self, parts: list[Refused]):
        self.parts = parts
        super().__init__("; ".join(part.sentence for part in parts), parts[0].code)


def shown(name: str) -> str:
    """A parameter's name for a sentence; one that no parameter could have is not repeated."""
    return f"'{name}'" if _NAME.fullmatch(name) else "with an unreadable name"


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, their escapes kept."""
    if "\\" not in text:
        return text.split(separator)
    parts, part, escaped = [], "", False
    for char in text:
        if char == separator and not escaped:
            parts.append(part)
            part = ""
            continue
        part += char
        escaped = char == "\\" and not escaped
    return [*parts, part]


def unescape(text: str) -> str:
    r"""`\,` `\|` `\$` `\\` -> the character itself; any other backslash stays."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def checked(text: str) -> str:
    """The value, if it can stand in a query at all."""
    if len(text) > MAX_VALUE:
        raise Refused(f"has a value of more than {MAX_VALUE} characters", "too-long")
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise Refused("has a value with a NUL or half a surrogate pair")
    return text


def alternatives(text: str) -> list[str]:
    """The values of an OR list, escapes kept; an empty one is refused, since it would widen or void the search."""
    values = split(text, ",")
    if any(value.strip() == "" for value in values):
        raise Refused("has an empty value")
    for value in values:
        checked(value)
    return values
