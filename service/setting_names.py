"""Names of environment variables: of a setting, and what is said of a name that is none."""

import difflib
from collections.abc import Iterable

PREFIX = "ENLACE_"


def variable(field: str) -> str:
    """Name of the environment variable of a field."""
    return PREFIX + field.upper()


def unknown(given: str, known: Iterable[str]) -> str:
    """The sentence about a variable that is no setting, with the nearest one that is."""
    near = difflib.get_close_matches(given.upper(), list(known), n=1, cutoff=0.7)
    remedy = f"did you mean {near[0]}?" if near else "remove it, or see docs/settings.md."
    return f"{_printable(given)} is not a setting of Enlace: {remedy}"


def _printable(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "?" for c in name[:64])
