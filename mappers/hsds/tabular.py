"""The CSV tables of HSDS 3 (a tabular data package) <-> its records with their parts nested in them.

Source: https://github.com/openreferral/specification, schema/*.json (path). Rows belong to another row by `service_id`,
`location_id` and so on; attributes by link_id and link_entity, metadata by resource_id and resource_type.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_profiles.json_text import decimal_text
from mappers.hsds.elements import Record
from mappers.hsds.package import KINDS, Package
from mappers.hsds.tables import NUMBERS, TABLES
from mappers.plan_files import delimited
from mappers.plan_files.rows import FileProblem, RowIssue

MAX_ROWS = 1_000_000
LINKS = {"attribute": ("link_id", "link_entity"), "metadata": ("resource_id", "resource_type")}
"""Tables whose rows say the table of their owner beside its id."""
ONE = {"program": "program_id", "unit": "unit_id", "taxonomy_term": "taxonomy_term_id"} | {
    "taxonomy_detail": "taxonomy_id"
}
"""member -> the column of the owner that names it"""
SPECIFIC = ("phone", "contact", "service_at_location", "service_capacity", "location", "service", "program")
"""Where a row names several owners, the first of these is its owner; others come after."""
_SAFE = re.compile(r"[+-]?\d[\d ().-]*", re.A)
"""Starts no formula although it begins like one: telephone numbers, degrees of longitude."""

Rows = dict[str, list[tuple[int, Record]]]


def read_tables(files: Mapping[str, bytes]) -> Package:
    """files: name -> bytes. Never raises."""
    package = Package()
    rows = {table: list(_rows(table, data, package)) for table, data in _known(files, package).items()}
    if not any(rows.get(kind) for kind in KINDS):
        words = "None of services.csv, organizations.csv and locations.csv is there with rows."
        package.problems.append(FileProblem("empty", words))
    _nest_single(rows)
    _nest_lists(rows, package)
    for kind in KINDS:
        for number, record in rows.get(kind, ()):
            package.add(kind, number, record)
    return package


def _known(files: Mapping[str, bytes], package: Package) -> dict[str, bytes]:
    by_name = {definition.path: table for table, definition in TABLES.items()}
    by_name |= {f"{table}.csv": table for table in TABLES} | {f"{table}s.csv": table for table in TABLES}
    found, unknown = {}, []
    for name, data in files.items():
        plain = name.rsplit("/", 1)[-1].lower()
        if plain in by_name:
            found[by_name[plain]] = data
        elif plain.endswith(".csv"):
            unknown.append(plain[:60])
    if unknown:
        words = f"Files that HSDS does not know were not read: {', '.join(sorted(unknown)[:20])}."
        package.problems.append(FileProblem("unknown-table", words, "warning"))
    return found


def _rows(table: str, data: bytes, package: Package) -> Iterator[tuple[int, Record]]:
    text, problems = delimited.decode(data)
    package.problems += problems
    records = delimited.records(text, ",")
    try:
        header = [" ".join(cell.split()).lower() for cell in next(records, [])]
        for number, cells in enumerate(records, 2):
            if number > MAX_ROWS:
                words = f"{TABLES[table].path} has more than {MAX_ROWS:,} rows, the rest was not read: split it."
                package.problems.append(FileProblem("too-many-rows", words))
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                words = f"{len(header)} cells expected as in the header, got {len(cells)}: quote cells that hold commas"
                package.issues.append(RowIssue(number, table, "ragged-row", words))
                package.broken += table in KINDS
                continue
            yield number, _record(table, header, cells)
    except csv.Error:
        words = f"{TABLES[table].path} could not be read to its end: a quoted cell never ends. Close the quote."
        package.problems.append(FileProblem("unreadable", words))


def _record(table: str, header: list[str], cells: list[str]) -> Record:
    kinds = TABLES[table].kinds
    told = {name: delimited.unguarded(cell) for name, cell in zip(header, cells, strict=True) if name and cell.strip()}
    return {name: _number(cell) if kinds.get(name) in NUMBERS else cell for name, cell in told.items()}


def _number(cell: str) -> Any:
    """The number, or the text as it is: the checks say that it is none."""
    try:
        number = Decimal(cell.strip())
    except InvalidOperation:
        return cell
    return int(number) if re.fullmatch(r"-?\d{1,15}", cell.strip()) else number if number.is_finite() else cell


# ---- nested in one another


def _nest_single(rows: Rows) -> None:
    by_id = {table: {str(record.get("id")): record for _, record in rows.get(table, ())} for table in TABLES}
    for table in ("taxonomy_term", "attribute", "service_capacity", "service"):
        for member, inner in TABLES[table].one.items():
            for _, record in rows.get(table, ()):
                found = by_id[inner].get(str(record.get(ONE[member], "")))
                if found is not None:
                    del record[ONE[member]]
                    record[member] = {name: value for name, value in found.items() if name != "organization_id"}


def _nest_lists(rows: Rows, package: Package) -> None:
    """Rows go into their owners; the owners, being the same objects, into theirs."""
    owners: dict[str, dict[str, list[Record]]] = {table: {} for table in TABLES}
    for table, found in rows.items():
        for _, record in found:
            owners[table].setdefault(str(record.get("id")), []).append(record)
    for table, parents in _parents().items():
        for number, record in rows.get(table, ()):
            named = _owner(table, record, parents)
            if named is None:
                continue
            parent, column, member = named
            held = owners[parent].get(str(record[column]), ())
            if not held:
                words = f"there is no {parent.replace('_', ' ')} with this id: add it, or leave the row out"
                package.issues.append(RowIssue(number, f"{table}.{column}", "unknown-owner", words))
                continue
            for name in LINKS.get(table, (column,)):
                record.pop(name, None)
            for owner in held:  # one phone stands in several places, with the same languages
                owner.setdefault(member, []).append(record)


def _parents() -> dict[str, list[tuple[str, str]]]:
    """table -> (table of the owner, member there), the most specific first."""
    order = {name: place for place, name in enumerate(SPECIFIC)}
    found: dict[str, list[tuple[str, str]]] = {}
    for parent in sorted(TABLES, key=lambda name: order.get(name, len(order))):
        for member, table in TABLES[parent].lists.items():
            found.setdefault(table, []).append((parent, member))
    return found


def _owner(table: str, record: Record, parents: list[tuple[str, str]]) -> tuple[str, str, str] | None:
    if table in LINKS:
        column, entity = LINKS[table]
        named = str(record.get(entity, "")).lower()
        return next(((p, column, m) for p, m in parents if p == named and column in record), None)
    return next(((p, f"{p}_id", m) for p, m in parents if f"{p}_id" in record), None)


# ---- and apart again


def write_tables(records: dict[str, dict[str, Record]]) -> dict[str, bytes]:
    """File name -> bytes, for each table that has rows."""
    rows: dict[str, dict[str, Record]] = {}
    for kind in KINDS:
        for record in records[kind].values():
            _flatten(kind, record, {}, rows)
    return {TABLES[table].path: _csv(table, list(found.values())) for table, found in rows.items()}


def _flatten(table: str, record: Record, owner: Record, rows: dict[str, dict[str, Record]]) -> None:
    definition, own = TABLES[table], {}
    for member, value in record.items():
        if member in definition.lists and isinstance(value, list):
            inner = definition.lists[member]
            link = LINKS.get(inner)
            named = {link[0]: record.get("id"), link[1]: table} if link else {f"{table}_id": record.get("id")}
            for entry in value:
                _flatten(inner, entry, named, rows)
        elif member in definition.one and isinstance(value, dict):
            own[ONE[member]] = value.get("id")
            _flatten(definition.one[member], value, {}, rows)
        else:
            own[member] = value
    held = rows.setdefault(table, {})
    bare = str(record.get("id"))
    if not owner:
        held[bare] = own | held.get(bare, {})
    elif table == "program":  # stands beside the services that name it
        held[bare] = {**held.get(bare, {}), **own, **owner}
    else:
        held[f"{bare} {sorted(owner.items())}"] = {**own, **owner}


def _csv(table: str, rows: list[Record]) -> bytes:
    names = dict.fromkeys(["id", *sorted({name for row in rows for name in row})])
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue().encode("utf-8")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if _SAFE.fullmatch(value) else delimited.guarded(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value, default=str)
