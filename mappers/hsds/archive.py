"""The CSV tables in a zip file, inflated piece by piece and counted: what its headers say is not believed."""

import io
import zipfile
import zlib

from mappers.plan_files.rows import FileProblem

MAX_UNPACKED = 500_000_000
MAX_FILES = 200
_CHUNK = 1 << 20
_DAMAGED = FileProblem("unreadable", "The zip file cannot be read: make it anew, without a password.")
_TOO_LARGE = FileProblem(
    "too-large", f"The tables are larger than {MAX_UNPACKED // 1_000_000} MB: split them by organization."
)


def tables(data: bytes) -> dict[str, bytes] | FileProblem:
    """Name -> bytes of each CSV file in it."""
    found: dict[str, bytes] = {}
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
            if len(names) > MAX_FILES:
                return _TOO_LARGE
            for info in names:
                inflated = bytearray()
                with archive.open(info) as source:
                    while piece := source.read(_CHUNK):
                        inflated += piece
                        if len(inflated) > left:
                            return _TOO_LARGE
                left -= len(inflated)
                found[info.filename] = bytes(inflated)
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError, EOFError):
        return _DAMAGED  # RuntimeError: it has a password
    return found
