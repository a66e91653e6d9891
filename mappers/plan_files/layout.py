"""Layout packs: which column of a plan's file is which field, as versioned data under layouts/<kind>/.

Each plan uses its own columns, order and dates (facts/california.md B.4): a plan's pack only says where it differs from
`base.json`. A pack: {id, version, source, delimiter, date_formats, columns: [...]}; an overlay adds `order` and `omit`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

TYPES = ("text", "cin", "npi", "tin", "date", "code", "codes", "phone", "email", "boolean", "zip")


@dataclass(frozen=True)
class Column:
    """One column: `headers` are the accepted names, the first is the one written; `max_length` counts characters.

    `codes` maps the file's words (upper case) to ours, `words` ours to the first of the file's, the one written.
    `required`: the column must be there and filled. `required_if`: filled when that other field is filled.
    `unmapped`: severity for a word that `codes` lacks. `canonical`: its header in the base layout.
    """

    name: str
    headers: tuple[str, ...]
    type: str = "text"
    required: bool = False
    required_if: str = ""
    max_length: int = 100
    codes: Mapping[str, str] = field(default_factory=dict, hash=False)
    words: Mapping[str, str] = field(default_factory=dict, hash=False)
    unmapped: str = "error"
    canonical: str = ""

    def told(self, header: str) -> str:
        """A header of a file as findings name it: with the base layout's own name where they differ."""
        return f"{header} ({self.canonical})" if self.canonical and normal(header) != normal(self.canonical) else header


@dataclass(frozen=True)
class Layout:
    """A pack as one object; `by_header` finds a column by its normalised name."""

    id: str
    version: str
    kind: str
    delimiter: str
    date_formats: tuple[str, ...]
    columns: tuple[Column, ...]
    by_header: Mapping[str, Column] = field(repr=False, compare=False, default_factory=dict)
    by_name: Mapping[str, Column] = field(repr=False, compare=False, default_factory=dict)

    def column_for(self, header: str) -> Column | None:
        return self.by_header.get(normal(header))


def normal(header: str) -> str:
    """Headers are compared by their letters and digits only: "Member CIN " = "member_cin"."""
    return re.sub(r"[^0-9a-z]+", "", header.casefold())


@lru_cache(maxsize=64)
def load(kind: str, plan: str | None = None) -> Layout:
    """The layout of a file kind for a plan's slug; a plan without a pack uses the base. KeyError: unknown kind."""
    base = _read(kind, "base")
    if base is None:
        raise KeyError(f"no layout pack for files of kind {kind!r}")
    overlay = _read(kind, plan) if plan and plan != "base" else None
    return _build(kind, _overlaid(base, overlay) if overlay else base)


class BadPack(ValueError):
    """A pack that is no layout: one sentence with the remedy."""


def from_pack(kind: str, text: bytes) -> Layout:
    """The layout of a pack that is not part of the program, over the base of its kind. Raises BadPack, KeyError."""
    base = _read(kind, "base")
    if base is None:
        raise KeyError(f"no layout pack for files of kind {kind!r}")
    try:
        return _build(kind, _overlaid(base, json.loads(text)))
    except KeyError as error:
        raise BadPack(f"The layout pack has no word or no field {error}: see docs/plan-data-staff.md.") from None
    except (ValueError, TypeError, AttributeError):
        raise BadPack("The layout pack is no JSON object with the words of docs/plan-data-staff.md.") from None


def plans(kind: str) -> list[str]:
    """Slugs of the plans that have a pack of their own."""
    folder = resources.files(__package__) / "layouts" / kind
    names = (entry.name for entry in folder.iterdir()) if folder.is_dir() else iter(())
    return sorted(name[:-5] for name in names if name.endswith(".json") and name != "base.json")


def _read(kind: str, name: str) -> dict[str, Any] | None:
    if not all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part) for part in (kind, name)):
        return None  # a slug from outside must never become a path
    entry = resources.files(__package__) / "layouts" / kind / f"{name}.json"
    if not entry.is_file():
        return None
    pack: dict[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
    return pack


def _overlaid(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """The base with the overlay's words: columns merged by field, `omit` taken out, `order` first."""
    columns: dict[str, dict[str, Any]] = {
        column["field"]: column | {"canonical": column["headers"][0]} for column in base["columns"]
    }
    for column in overlay.get("columns", ()):
        columns[column["field"]] = columns.get(column["field"], {}) | column
    for name in overlay.get("omit", ()):
        del columns[name]
    order = list(overlay.get("order", ()))
    names = order + [name for name in columns if name not in order]
    return base | overlay | {"columns": [columns[name] for name in names]}


def _build(kind: str, pack: dict[str, Any]) -> Layout:
    columns = tuple(_column(entry) for entry in pack["columns"])
    by_header: dict[str, Column] = {}
    for column in columns:
        for header in column.headers:
            if by_header.setdefault(normal(header), column) is not column:
                raise ValueError(f"layout {pack['id']}: header {header!r} names two fields")
    return Layout(
        id=pack["id"], version=pack["version"], kind=kind, delimiter=pack["delimiter"],
        date_formats=tuple(pack["date_formats"]), columns=columns,
        by_header=by_header, by_name={column.name: column for column in columns},
    )  # fmt: skip


def _column(entry: dict[str, Any]) -> Column:
    if entry.get("type", "text") not in TYPES:
        raise ValueError(f"layout column {entry['field']!r}: unknown type {entry['type']!r}, use one of {TYPES}")
    return Column(
        name=entry["field"], headers=tuple(entry["headers"]), type=entry.get("type", "text"),
        required=entry.get("required", False), required_if=entry.get("required_if", ""),
        max_length=entry.get("max_length", 100), unmapped=entry.get("unmapped", "error"),
        canonical=entry.get("canonical", entry["headers"][0]),
        codes={word.upper(): code for word, code in entry.get("codes", {}).items()},
        words=dict(reversed({code: word for word, code in reversed(entry.get("codes", {}).items())}.items())),
    )  # fmt: skip
