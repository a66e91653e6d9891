"""Statements that go with protected data, as versioned data: edit the JSON beside this file, not the code."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Statement(NamedTuple):
    version: str
    source: str
    text: str


@cache
def statement(name: str) -> Statement:
    """name: of a file here, such as part2."""
    return Statement(**json.loads((HERE / f"{name}.json").read_text("utf-8")))
