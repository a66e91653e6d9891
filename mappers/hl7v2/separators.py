"""Delimiters from MSH-1/MSH-2 and the escape sequences they need: HL7 v2.5.1 chapter 2, 2.5.4 and 2.7."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ABSENT = "\x00"  # controls are cleaned out of the text before it is split, so this never matches
_FORMATTING = {"br": "\n", "sp": "\n", "fi": "", "nf": "", "in": "", "ti": "", "sk": " ", "ce": "\n"}
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Separators:
    """The delimiters in force for one message; each is one character (NUL stands for "not declared")."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def msh2(self) -> str:
        """MSH-2 as we write it for these delimiters."""
        return (self.component + self.repetition + self.escape + self.subcomponent).replace(_ABSENT, "") + (
            self.truncation
        )


STANDARD = Separators()


def read_separators(msh: str) -> tuple[Separators | None, str]:
    """(delimiters, remark) from the text of an MSH segment; None where no delimiter can be told.

    Tolerated: a short MSH-2, a fifth (truncation) character, a doubled backslash (`^~\\\\&` out of a JSON string),
    and `~\\&`, from which an engine ate the caret.
    """
    field = msh[3:4]
    if not field or field.isalnum() or field.isspace() or not field.isprintable():
        return None, "MSH-1 is not a delimiter"
    declared = msh[4:].split(field, 1)[0]
    if declared == "^~\\&":
        return (STANDARD if field == "|" else Separators(field)), ""
    characters = "".join(dict.fromkeys(declared))
    if any(c.isalnum() or c.isspace() or not c.isprintable() for c in characters) or len(characters) > 6:
        return None, "MSH-2 does not hold delimiters"
    if set(characters) <= set("^~\\&") and not ("^~\\&".startswith(characters) and characters):
        return Separators(field), "MSH-2 is damaged; the standard delimiters were taken"
    padded = characters[:4] + _ABSENT * (4 - len(characters[:4]))
    remark = "MSH-2 repeats a delimiter" if len(characters) < len(declared) else ""
    component, repetition, escape, subcomponent = tuple(padded)
    return Separators(field, component, repetition, escape, subcomponent, characters[4:5]), remark


def _pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    body = r"[FSRTEPHN]|X(?:[0-9A-Fa-f]{2})+|\.[A-Za-z]{2}[^" + mark + r"]{0,6}"
    return re.compile(f"{mark}({body}){mark}")


_PATTERNS: dict[str, re.Pattern[str]] = {"\\": _pattern("\\")}


def unescape(text: str, separators: Separators, codec: str = "utf-8") -> str:
    """Text of a leaf value with its escapes resolved; call after splitting. What is no escape survives as it is."""
    escape = separators.escape
    if escape not in text:
        return text
    pattern = _PATTERNS.get(escape) or _PATTERNS.setdefault(escape, _pattern(escape))

    def resolve(match: re.Match[str]) -> str:
        return _resolve(match[1], separators, codec)

    return pattern.sub(resolve, text)


def _resolve(body: str, separators: Separators, codec: str) -> str:
    plain = {
        "F": separators.field,
        "S": separators.component,
        "R": separators.repetition,
        "T": separators.subcomponent,
        "E": separators.escape,
        "P": separators.truncation or "#",
        "H": "",
        "N": "",
    }.get(body)
    if plain is not None:
        return plain
    if body[0] == ".":
        return _FORMATTING.get(body[1:3].lower(), "")
    data = bytes.fromhex(body[1:])
    try:
        return CONTROLS.sub(" ", data.decode(codec))
    except UnicodeDecodeError:
        return CONTROLS.sub(" ", data.decode("latin-1"))


def escape(text: str, separators: Separators = STANDARD) -> str:
    """Text made safe to stand in a field under these delimiters; line breaks become `\\.br\\`."""
    mark = separators.escape
    if mark == _ABSENT:
        return text.translate({ord(c): " " for c in separators.msh2 + separators.field + "\r\n"})
    table = {
        separators.field: "F",
        separators.component: "S",
        separators.repetition: "R",
        separators.subcomponent: "T",
        mark: "E",
        "\r": ".br",
        "\n": ".br",
    }
    return "".join(f"{mark}{table[c]}{mark}" if c in table else c for c in text)
