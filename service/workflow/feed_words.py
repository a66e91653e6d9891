"""What became of a message, in words: a sentence and what to do, for every state and reason of the inbox.

The table is feed_words.json; a code without a row is told as such, and a test over the tree turns red.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Words:
    """sentence: what is the case. remedy: what a person does about it, "None." where nothing."""

    sentence: str
    remedy: str


def words(state: str, reason: str) -> Words:
    """The reason's where it has words, else the state's."""
    table = _table()
    if state == "failed" and reason and reason not in table["reasons"]:
        return Words(*table["error"])
    if state == "unreadable" and " " in reason:  # the header's own sentence, which holds nothing of the message
        return Words(reason, table["states"][state][1])
    if not reason:
        return Words(*table["states"].get(state, table["otherwise"]))
    return Words(*table["reasons"].get(reason, table["otherwise"]))


def known(reason: str) -> bool:
    return reason in _table()["reasons"]


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return found
