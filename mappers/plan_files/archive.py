"""Decides, before a spreadsheet library sees it, whether an xlsx is safe to open (facts/security.md: zip, XML bombs).

Three bombs are known: more bytes than the headers admit (so the parts are inflated here and counted, headers are not
believed), one far-off cell (the reader allocates a dense rectangle), one long shared string named by millions of cells.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from mappers.plan_files.rows import FileProblem

MAX_UNPACKED = 200_000_000
MAX_GRID = 12_000_000  # cells of the rectangle that the reader allocates, about 32 bytes each
MAX_TEXT = 2_000_000_000  # characters after shared strings are written out
_CHUNK = 1 << 18
_REFERENCE = re.compile(rb"r\s*=\s*[\"']([A-Za-z]{0,7})(\d{1,12})[\"']")
_CELL = re.compile(rb"<(?:\w+:)?c\b")
_ROW = re.compile(rb"<(?:\w+:)?row\b")
_STRING = re.compile(rb"<(?:\w+:)?si\b")
_NOT_XLSX = FileProblem(
    "not-a-workbook", "The file is not a readable xlsx workbook: save it again as .xlsx or send it as CSV."
)


def refusal(data: bytes) -> FileProblem | None:
    """The reason not to open `data` as xlsx, or None when it is safe."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except Exception:  # zipfile raises half a dozen kinds on hostile bytes
        return _NOT_XLSX
    names = {part.filename for part in parts}
    if not data.startswith(b"PK\x03\x04") or "xl/workbook.xml" not in names or len(parts) > 5000:
        return _NOT_XLSX
    if "xl/workbook.bin" in names or "content.xml" in names:
        return _NOT_XLSX  # another spreadsheet format in the same archive: which one the reader takes is a guess
    budget = MAX_UNPACKED
    longest, references = 0, 0
    for part in parts:
        try:
            meter, problem = _measure(data, part, budget)
        except (zlib.error, ValueError, IndexError):
            return _NOT_XLSX
        if problem:
            return problem
        budget -= meter.size
        longest, references = max(longest, meter.longest_string), references + meter.cells
    if longest * references > MAX_TEXT:
        return FileProblem("text-too-large", "The workbook repeats very long texts too often: send the data as CSV.")
    return None


@dataclass
class _Meter:
    """Upper bounds of what one part makes the reader allocate; XML is looked at tag by tag, never parsed."""

    size: int = 0
    rows: int = 0
    columns: int = 0
    cells: int = 0
    row_tags: int = 0
    in_row: int = 0
    is_sheet: bool = False
    longest_string: int = 0
    last_string: int | None = None
    _tail: bytes = b""

    def feed(self, chunk: bytes) -> None:
        text = self._tail + chunk
        cut = text.rfind(b">") + 1
        start = self.size - len(self._tail)
        self.size += len(chunk)
        self._tail = text[cut:][-4096:]  # a tag that the chunk's end cuts is seen whole with the next chunk
        text = text[:cut]
        for match in _STRING.finditer(text):
            self._string_ends(start + match.start())
            self.last_string = start + match.start()
        self.is_sheet = self.is_sheet or b"sheetData" in text
        for letters, digits in _REFERENCE.findall(text):
            self.rows, self.columns = max(self.rows, int(digits)), max(self.columns, _column_number(letters))
        counts = [len(_CELL.findall(piece)) for piece in _ROW.split(text)]
        self.cells += sum(counts)
        self.row_tags += len(counts) - 1
        counts[0] += self.in_row
        self.in_row = counts[-1]
        # Cells and rows may leave out their reference: then they are counted.
        self.rows, self.columns = max(self.rows, self.row_tags), max(self.columns, *counts)

    def end(self) -> None:
        self._string_ends(self.size)

    def _string_ends(self, at: int) -> None:
        if self.last_string is not None:
            self.longest_string = max(self.longest_string, at - self.last_string)


def _measure(data: bytes, part: zipfile.ZipInfo, budget: int) -> tuple[_Meter, FileProblem | None]:
    """The meter of one part, and the reason to refuse it; reading ends where the budget of unpacked bytes does."""
    meter = _Meter()
    for chunk in _inflate(data, part):
        meter.feed(chunk)
        if meter.size > budget:
            words = "The workbook unpacks to more than 200 MB: split the file or send it as CSV."
            return meter, FileProblem("too-large-unpacked", words)
    meter.end()
    if meter.is_sheet and meter.rows * max(meter.columns, 1) > MAX_GRID:
        words = "A cell far outside the table makes the sheet too large: delete the empty rows and columns."
        return meter, FileProblem("sheet-too-large", words)
    return meter, None


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _inflate(data: bytes, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """The part's bytes by its compressed size: the declared unpacked size is what a bomb lies about."""
    head = data[part.header_offset : part.header_offset + 30]
    if head[:4] != b"PK\x03\x04" or part.flag_bits & 1 or part.compress_type not in (0, 8):
        raise ValueError("damaged, encrypted or unusual entry")
    start = part.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    packed = memoryview(data)[start : start + part.compress_size]
    if part.compress_type == 0:
        yield from (bytes(packed[i : i + _CHUNK]) for i in range(0, len(packed), _CHUNK))
        return
    engine = zlib.decompressobj(-15)
    rest: bytes | memoryview = packed
    while chunk := engine.decompress(rest, _CHUNK):
        yield chunk
        rest = engine.unconsumed_tail
    if not engine.eof:
        raise ValueError("truncated entry")
