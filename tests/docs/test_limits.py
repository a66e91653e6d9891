"""docs/limits.md says what the code does: each row names where its number stands, a setting or a constant."""

import importlib
import re

import pytest

from service.settings import Settings
from tests.docs.pages import DOCS

ROWS = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| `([\w.]+)` \|$", (DOCS / "limits.md").read_text(), re.M)
UNITS = {"": 1, "characters": 1, "s": 1, "h": 3600}


def number(place: str) -> int:
    if place.startswith("ENLACE_"):
        return int(getattr(Settings(), place.removeprefix("ENLACE_").lower()))
    module, _, name = place.rpartition(".")
    return int(getattr(importlib.import_module(module), name))


def stated(text: str, exact: int) -> int:
    """The number of a cell: `50,000`, `24 h`; KB and MB count 1,024 or 1,000, whichever the code does."""
    digits, _, unit = text.partition(" ")
    value = int(digits.replace(",", ""))
    if unit in ("KB", "MB"):
        power = 1 if unit == "KB" else 2
        return next((value * base**power for base in (1024, 1000) if value * base**power == exact), 0)
    return value * UNITS[unit]


@pytest.mark.parametrize(("what", "text", "beyond", "place"), ROWS, ids=[row[3] for row in ROWS])
def test_the_number_is_that_of_the_code(what: str, text: str, beyond: str, place: str) -> None:
    assert stated(text, number(place)) == number(place), (what, beyond)


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 25
    lines = [line for line in (DOCS / "limits.md").read_text().splitlines() if re.match(r"\| (?!limit|-)", line)]
    assert len(lines) == len(ROWS), "a row that the test does not read"
