"""Which groups of sensitive data the codes in a resource belong to: value_sets/sensitive-*.json, compiled once.

A list of codes counts as it stands; a category (`is-a`, ICD-10-CM) with all codes that begin with it, with or without
the dot. A code without a system counts as of any, since what is not known must not make data less protected.
"""

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "value_sets"
PREFIX = "sensitive-"
ALIASES = {
    "http://hl7.org/fhir/sid/icd-10": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
}
"""Other names of a code system -> the one that the value sets use."""

_CODE = re.compile(rb'"code":"([^"\\]{2,64})"')


class Listed(NamedTuple):
    """codes: code -> (system, group); prefixes: beginning of a code -> the same. lengths: of the prefixes."""

    codes: dict[str, tuple[tuple[str, str], ...]]
    prefixes: dict[str, tuple[tuple[str, str], ...]]
    lengths: tuple[int, ...]
    digest: str
    """Another text once a value set says something else."""


@cache
def listed() -> Listed:
    codes: dict[str, tuple[tuple[str, str], ...]] = {}
    prefixes: dict[str, tuple[tuple[str, str], ...]] = {}
    for path in sorted(HERE.glob(f"{PREFIX}*.json")):
        group = path.stem.removeprefix(PREFIX)
        for include in json.loads(path.read_text("utf-8"))["compose"]["include"]:
            where = (include["system"], group)
            for concept in include.get("concept", ()):
                codes[concept["code"]] = (*codes.get(concept["code"], ()), where)
            for row in include.get("filter", ()):
                begin = _bare(row["value"])
                prefixes[begin] = (*prefixes.get(begin, ()), where)
    digest = sha256(json.dumps([codes, prefixes], sort_keys=True).encode()).hexdigest()
    return Listed(codes, prefixes, tuple(sorted({len(one) for one in prefixes})), digest)


def _bare(code: str) -> str:
    return code.replace(".", "").upper()


@lru_cache(maxsize=16_384)
def rows_of(code: str) -> tuple[tuple[str, str], ...]:
    """(system, group) of each row that a code fits, whatever its own system is."""
    known, bare = listed(), _bare(code)
    rows = known.codes.get(code, ())
    return sum((known.prefixes.get(bare[:length], ()) for length in known.lengths), rows)


def groups_in(resource: Any, text: tuple[bytes, ...]) -> set[str]:
    """Groups of all codes anywhere in the resource, contained ones and extensions included.

    text: the resource as our JSON writer wrote it. Looked through first: most resources hold no such code.
    """
    if not any(_maybe(code) for part in text for code in _CODE.findall(part)):
        return set()
    return {group for coding in _codings(resource) for group in _groups(coding)}


@lru_cache(maxsize=16_384)
def _maybe(code: bytes) -> bool:
    return bool(rows_of(code.decode()))


def _groups(coding: dict[str, Any]) -> Iterator[str]:
    system = coding.get("system")
    wanted = ALIASES.get(system, system) if isinstance(system, str) else None
    for listed_system, group in rows_of(str(coding["code"])):
        if wanted in (None, listed_system):
            yield group


def _codings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("code"), str):
            yield value
        for inner in value.values():
            if isinstance(inner, dict | list):
                yield from _codings(inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                yield from _codings(inner)
