"""A plan file's bytes -> rows by layout: finds the header row, names what is wrong with the file and with each row.

Checks: facts/california.md C.7 ("reject rows, never files"), limits: facts/security.md. No bytes make it raise.
"""

import csv
import itertools
import re
from collections.abc import Iterator

from mappers.plan_files import delimited, spreadsheet
from mappers.plan_files.layout import Column, Layout
from mappers.plan_files.rows import FileProblem, Row, RowIssue

MAX_ROWS = 1_000_000
MAX_CELL = 10_000
_HEADER_WITHIN = 20  # rows in which title lines may stand above the header
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd\ufffe\uffff]")
_Records = Iterator[list[str]]


class Table(Iterator[Row]):
    """The data rows in order; `problems`, `blank_rows` and `data_rows` are complete once all rows are taken."""

    def __init__(self, data: bytes, filename: str, layout: Layout) -> None:
        self.problems: list[FileProblem] = []
        self.blank_rows = 0
        self.data_rows = 0
        self._rows = self._read(data, filename, layout)

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        return next(self._rows)

    @property
    def readable(self) -> bool:
        """False when a file-level error kept rows from being read."""
        return not any(problem.severity == "error" for problem in self.problems)

    def _read(self, data: bytes, filename: str, layout: Layout) -> Iterator[Row]:
        candidates = self._candidates(data, filename, layout)
        found = _header(candidates, layout)
        if not found:
            if self.readable:
                self.problems.append(_no_header(layout))
            return
        label, number, header, rest = found
        if label:
            self.problems.append(FileProblem("read-differently", label, "warning"))
        columns = self._columns(header, layout)
        if not self.readable:
            return
        headers = {column.name: column.told(column.headers[0]) for column in layout.columns}
        headers |= {column.name: column.told(header[i]) for i, column in columns.items()}
        for row_number, record in self._guarded(rest, number):
            if not any(cell.strip() for cell in record):
                self.blank_rows += 1
                continue
            self.data_rows += 1
            if self.data_rows > MAX_ROWS:
                words = f"The file has more than {MAX_ROWS:,} rows, the rest was not read: split it."
                self.problems.append(FileProblem("too-many-rows", words))
                return
            yield _row(row_number, record, len(header), columns, headers)

    def _candidates(self, data: bytes, filename: str, layout: Layout) -> list[tuple[str, _Records]]:
        """Ways to read the file, the layout's own first, each with the warning that goes with it."""
        if data.startswith(b"PK\x03\x04") or filename.lower().endswith((".xlsx", ".xlsm")):
            found = spreadsheet.sheets(data)
            if isinstance(found, FileProblem):
                self.problems.append(found)
                return []
            if len(found) > 1:
                words = "The workbook has several sheets with content: only the first with the known headers is read."
                self.problems.append(FileProblem("several-sheets", words, "warning"))
            return [("", sheet) for sheet in found]
        text, problems = delimited.decode(data)
        self.problems += problems
        others = [d for d in (",", "|", "\t", ";") if d != layout.delimiter]
        names = {",": "comma", "|": "pipe", "\t": "tab", ";": "semicolon"}
        words = "The columns are separated by {}, the layout expects {}: read all the same, please agree on one."
        return [("", delimited.records(text, layout.delimiter))] + [
            (words.format(names[d], names.get(layout.delimiter, layout.delimiter)), delimited.records(text, d))
            for d in others
        ]

    def _columns(self, header: list[str], layout: Layout) -> dict[int, Column]:
        """Column index -> layout column; unknown, doubled and missing columns become problems, each once."""
        columns: dict[int, Column] = {}
        unknown: list[str] = []
        for index, name in enumerate(header):
            column = layout.column_for(name) if name else None
            if column and column in columns.values():
                words = f"Two columns are both read as {column.headers[0]!r}: keep one."
                self.problems.append(FileProblem("column-twice", words))
            elif column:
                columns[index] = column
            elif name:
                unknown.append(name[:60])
        if unknown:
            words = f"Columns that the layout {layout.id} does not know were not read: {', '.join(unknown[:40])}."
            self.problems.append(FileProblem("unknown-column", words, "warning"))
        missing = [c.headers[0] for c in layout.columns if c.required and c not in columns.values()]
        if missing:
            words = f"Required columns are missing: {', '.join(missing)}. Add them or ask for a layout of your own."
            self.problems.append(FileProblem("missing-column", words))
        return columns

    def _guarded(self, records: _Records, header_row: int) -> Iterator[tuple[int, list[str]]]:
        """Numbered records; a quote that never ends stops the reading with a file-level error."""
        number = header_row
        try:
            for number, record in enumerate(records, header_row + 1):
                yield number, record
        except csv.Error:
            words = f"Reading stopped after row {number}: a quoted cell never ends. Close the quote and send again."
            self.problems.append(FileProblem("unreadable", words))


def read_rows(data: bytes, filename: str, layout: Layout) -> Table:
    """The rows of a CSV or xlsx file, one after the other; what concerns the file as a whole is in `.problems`."""
    return Table(data, filename, layout)


def _header(candidates: list[tuple[str, _Records]], layout: Layout) -> tuple[str, int, list[str], _Records] | None:
    """(warning, row number, header cells, rows after it) of the best header among the first rows, or None."""
    for label, records in candidates:
        top, rest = _top(records)
        scores = [len({c.name for cell in row if (c := layout.column_for(cell))}) for row in top]
        best = max(scores, default=0)
        if best >= min(3, len(layout.columns)):
            index = scores.index(best)
            header = [" ".join(_CONTROL.sub("", cell).split()) for cell in top[index]]
            return label, index + 1, header, itertools.chain(top[index + 1 :], rest)
    return None


def _top(records: _Records) -> tuple[list[list[str]], _Records]:
    """The rows among which the header must be, and what follows: an error met on the way is raised again there."""
    top: list[list[str]] = []
    try:
        for record in itertools.islice(records, _HEADER_WITHIN):
            top.append(record)  # not list(): it would lose the rows before an error
    except csv.Error as error:
        return top, _failing(error)
    return top, records


def _failing(error: csv.Error) -> _Records:
    raise error
    yield []


def _no_header(layout: Layout) -> FileProblem:
    names = ", ".join(c.headers[0] for c in layout.columns if c.required)
    words = f"No header row was found in the first {_HEADER_WITHIN} rows: {layout.id} needs at least {names}."
    return FileProblem("no-header", words)


def _row(number: int, record: list[str], width: int, columns: dict[int, Column], headers: dict[str, str]) -> Row:
    issues: list[RowIssue] = []
    # Also one blank cell too many: an unquoted comma in an address shifts all that follows into empty columns.
    if len(record) != width:
        words = f"{width} cells expected as in the header, got {len(record)}: quote cells that hold the delimiter."
        return Row(number, {}, headers, (RowIssue(number, "", "ragged-row", words),))
    cells: dict[str, str] = {}
    serials = set()
    for index, column in columns.items():
        raw = record[index] if index < len(record) else ""
        if isinstance(raw, spreadsheet.Cell):
            serials.add(column.name)
        cells[column.name] = _cell(number, headers[column.name], raw, issues)
    return Row(number, cells, headers, tuple(issues), frozenset(serials))


def _cell(number: int, header: str, raw: str, issues: list[RowIssue]) -> str:
    """The trimmed text; too long is refused, control characters are taken out and reported."""
    if len(raw) > MAX_CELL:
        words = f"at most {MAX_CELL:,} characters, got {len(raw):,}: shorten it or close its quote"
        issues.append(RowIssue(number, header, "cell-too-long", words))
        return ""
    if _CONTROL.search(raw):
        words = "holds unreadable characters (NUL, control, wrong encoding): they were taken out, check the cell"
        issues.append(RowIssue(number, header, "bad-character", words, "warning"))
        raw = _CONTROL.sub("", raw)
    return delimited.unguarded(raw.strip())
