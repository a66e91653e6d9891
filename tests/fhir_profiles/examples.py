"""The examples of fhir_profiles as test input, and mutants of them, reproducible by seed."""

import copy
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "fhir_profiles" / "examples"
WORDS: list[Any] = [
    "",
    " ",
    "x",
    "true",
    "2026-02-30",
    "2026-13-01",
    "Patient/1",
    "Nope/1",
    "#a",
    True,
    False,
    0,
    -1,
    1,
    Decimal("1.5"),
    Decimal("1.0"),
    None,
    [],
    {},
    [None],
    [[]],
    ["x"],
    {"x": 1},
    {"id": "x"},
    [{}],
    [1],
    "1.5",
    "a  b",
]


def load(path: Path) -> Any:
    return json.loads(path.read_text(), parse_float=Decimal)


def valid() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def invalid() -> list[Path]:
    return sorted((FOLDER / "invalid").glob("*.json"))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if key != "resourceType":
            yield node, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _mutate(resource: Any, chance: random.Random) -> None:
    node, key = chance.choice(list(_places(resource)))
    action = chance.choice(("drop", "duplicate", "retype", "rename", "null", "empty", "wrap", "move"))
    if action == "drop":
        del node[key]
    elif action == "duplicate" and isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    elif action == "rename" and isinstance(node, dict):
        new = chance.choice((f"{key}x", f"_{key}", key.capitalize(), "value" + key.capitalize(), "valueString"))
        node[new] = node.pop(key)
    elif action == "null":
        node[key] = None
    elif action == "empty":
        node[key] = chance.choice(([], {}, ""))
    elif action == "wrap":
        node[key] = [node[key]]
    elif action == "move":
        other, name = chance.choice(list(_places(resource)))
        node[key] = copy.deepcopy(other[name])
    else:
        node[key] = copy.deepcopy(chance.choice(WORDS))


def mutants(count: int, seed: int) -> Iterator[Any]:
    """`count` resources that differ from an example in one to three places."""
    chance = random.Random(seed)
    originals = [load(path) for path in valid()]
    for _ in range(count):
        resource = copy.deepcopy(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            _mutate(resource, chance)
        yield resource
