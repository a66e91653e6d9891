"""Writes the search lines of capability_statement.json: searchParam, searchInclude and searchRevInclude of each type.

Run after a type was added or compiled.json was built again: python -m fhir_profiles.build.capability
A new type's block needs the line `"searchParam": []`; everything else in the file stays as it is.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]

NOT_SERVED = {
    "phonetic": "matching by sound is not done; what `name` does under that name would be untrue",
    "_content": "full text of bodies is not indexed",
    "_query": "there are no named queries",
    "_text": "narratives are not indexed",
}
"""Standard parameters that are left out, with the reason."""

DOCUMENTED = {
    "near": "latitude|longitude|distance|units; km without units, 25 km without distance; also m, mi, [mi_us], [mi_i].",
    "open-at": "a dateTime, now, or day|time such as tue|10:30; by availableTime and notAvailable.",
    "stale": "days: not verified for longer, or never.",
}

RENDERED = frozenset({"AuditEvent"})
"""Types that are made when they are read."""

Row = dict[str, Any]
_TYPE = re.compile(r'\s{8}"type": "(\w+)",$')
_LINE = re.compile(r'(\s*)"(searchInclude|searchRevInclude|searchParam)": \[(.*)$')


def parameters(rtype: str, compiled: dict[str, dict[str, Row]]) -> dict[str, Row]:
    """Every compiled parameter of the type that is served, by its code."""
    rows = {code: row for code, row in compiled.get(rtype, {}).items() if code not in NOT_SERVED}
    return {code: row for code, row in sorted(rows.items()) if "unsupported" not in row}


def includes(rtype: str, types: list[str], compiled: dict[str, dict[str, Row]]) -> dict[str, list[str]]:
    """`Type:param` of each reference that may lead to a served type -> its targets; canonicals are no addresses."""
    found = {}
    for code, row in parameters(rtype, compiled).items():
        targets = row.get("targets", ())
        literal = row["type"] == "reference" and any(path["type"] == "Reference" for path in row["paths"])
        if literal and ("Any" in targets or set(targets) & set(types)):
            found[f"{rtype}:{code}"] = list(targets)
    return found


def _row(code: str, row: Row) -> str:
    entry = {"name": code, "definition": row["canonical"], "type": row["type"]}
    if code in DOCUMENTED:
        entry["documentation"] = DOCUMENTED[code]
    return json.dumps(entry)


def _block(name: str, rows: list[str], indent: str, *, end: str) -> Iterator[str]:
    if not rows:
        return
    if name != "searchParam":
        yield f'{indent}"{name}": [{", ".join(json.dumps(row) for row in rows)}],'
        return
    yield f'{indent}"searchParam": ['
    yield from (f"{indent}  {row}{',' if row is not rows[-1] else ''}" for row in rows)
    yield f"{indent}]{end}"


def _written(rtype: str, indent: str, end: str, types: list[str], compiled: dict[str, dict[str, Row]]) -> Iterator[str]:
    """All three lines of a type, where its searchParam stood; the lines of the whole service for ""."""
    rows = [_row(code, row) for code, row in parameters(rtype or "Resource", compiled).items()]
    if rtype:
        # What is rendered and not stored has no edges in the index, neither from it nor to it.
        sources = [includes(source, types, compiled) for source in types if not {source, rtype} & RENDERED]
        back = [code for found in sources for code, targets in found.items() if {"Any", rtype} & set(targets)]
        yield from _block("searchInclude", list(includes(rtype, types, compiled)), indent, end=",")
        yield from _block("searchRevInclude", back, indent, end=",")
    yield from _block("searchParam", rows, indent, end=end)


def rewritten(text: str, compiled: dict[str, dict[str, Row]]) -> str:
    types = [block["type"] for block in json.loads(text)["rest"][0]["resource"]]
    out: list[str] = []
    rtype, inside = "", False
    for line in text.splitlines():
        if inside:
            inside = line.strip() not in ("]", "],")
            if not inside:
                out += _written(rtype, line[: len(line) - len(line.lstrip())], line.strip()[1:], types, compiled)
            continue
        if named := _TYPE.match(line):
            rtype = named[1]
        if line.rstrip() == "      ],":  # the end of `resource`: what follows is of the whole service
            rtype = ""
        match = _LINE.match(line)
        if match is None:
            out.append(line)
        elif match[2] == "searchParam":
            inside = match[3] == ""
            if not inside:
                out += _written(rtype, match[1], match[3].removeprefix("]"), types, compiled)
    return "\n".join(out) + "\n"


def main() -> None:
    statement = HERE / "capability_statement.json"
    compiled = json.loads((HERE / "search_parameters" / "compiled.json").read_text("utf-8"))
    statement.write_text(rewritten(statement.read_text("utf-8"), compiled), "utf-8")


if __name__ == "__main__":
    main()
