"""Bytes -> text by the charset ladder: BOM, MSH-18, source default, strict UTF-8, Windows-1252 (HL7 table 0211)."""

from __future__ import annotations

from mappers.hl7v2.code_tables import column
from mappers.hl7v2.findings import Finding

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CODECS = column("charset", "codec")  # only codecs of this table are ever asked for: MSH-18 is the sender's text


def codec_for(declared: str) -> str:
    """Python codec of an MSH-18 (or configured) name; "" where the name is unknown."""
    return _CODECS.get(declared.strip().upper(), "")


def bom(raw: bytes) -> tuple[bytes, str]:
    """(payload without its byte order mark, codec that the mark names or "")."""
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            return raw[len(mark) :], codec
    return raw, ""


def wide(raw: bytes) -> str:
    """Codec of a message in two bytes a character that lacks its byte order mark, else ""."""
    return "utf-16-le" if raw.startswith(b"M\0S\0H\0") else "utf-16-be" if raw.startswith(b"\0M\0S\0H") else ""


def decode(raw: bytes, declared: str = "", default: str = "") -> tuple[str, str, list[Finding]]:
    """(text, codec that read it, findings); never raises. `declared` is MSH-18, `default` the source's setting."""
    raw, marked = bom(raw)
    marked = marked or wide(raw)
    if raw.isascii() and not marked:
        return raw.decode("ascii"), "ascii", []
    findings: list[Finding] = []
    declared = declared.strip()
    if declared and not codec_for(declared):
        findings.append(Finding("charset-unknown", "MSH-18", "warning", "The declared charset is not in table 0211."))
    for codec in (marked, codec_for(declared), codec_for(default), "utf-8"):
        if not codec:
            continue
        try:
            return raw.decode(codec), codec, findings
        except UnicodeDecodeError:
            pass
    text = "The bytes are in neither the declared charset nor UTF-8; read as Windows-1252. Set the source's charset."
    findings.append(Finding("charset-guessed", "MSH-18", "warning", text))
    try:
        return raw.decode("cp1252"), "cp1252", findings
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1", findings
