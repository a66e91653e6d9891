"""The rows of an xlsx workbook as text, by python-calamine, after archive.refusal has let it through.

Source: ECMA-376 part 1, 18.3 (worksheets). Typed dates become ISO dates; whole numbers lose their ".0".
"""

import datetime
import io
from collections.abc import Iterator

from python_calamine import CalamineWorkbook, SheetVisibleEnum

from mappers.plan_files.archive import refusal
from mappers.plan_files.rows import FileProblem


class Cell(str):
    """A cell that was a number in the sheet: leading zeros may be lost, and a date may be a serial number."""


def sheets(data: bytes) -> list[Iterator[list[str]]] | FileProblem:
    """One iterator of text rows per visible sheet with content, rows counted from the sheet's first row."""
    problem = refusal(data)
    if problem:
        return problem
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        visible = [s.name for s in book.sheets_metadata if s.visible is SheetVisibleEnum.Visible]
        found = [book.get_sheet_by_name(name) for name in visible]
        return [([text(value) for value in row] for row in sheet.iter_rows()) for sheet in found if sheet.height]
    except BaseException as error:
        # A panic of the Rust reader arrives as a BaseException of its own; only the interpreter's own pass.
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
            raise
        return FileProblem(
            "not-a-workbook", "The workbook is damaged or locked: save it again without a password or send CSV."
        )


def text(value: object) -> str:
    """A typed cell as text; a Cell where the sheet held a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, (int, float)):
        return Cell(str(int(value)) if value == value and abs(value) < 1e15 and value == int(value) else repr(value))
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
