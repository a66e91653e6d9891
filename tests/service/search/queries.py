"""What a client would write to find a resource by one of its values: every form of every kind of parameter."""

from typing import Any

from fhir_profiles.catalog import Group, Path, SearchParameter, catalog
from service.search.strings import LIMIT, normalise, texts_of
from service.search.syntax import MAX_VALUE
from service.search.walkers import below, values_at

BASE = "https://enlace.test/fhir"


def escaped(value: str) -> str:
    for char in "\\,|$":
        value = value.replace(char, "\\" + char)
    return value


def queries(parameter: SearchParameter, path: Path, value: Any) -> list[tuple[str, str]]:
    """(name, value) pairs that must find a resource with this value."""
    code = parameter.code
    match parameter.type, path.datatype:
        case "token", "CodeableConcept":
            codings = [*value.get("coding", []), {"display": value.get("text")}]
            return [query for coding in codings for query in token(code, coding, "code") + texts(code, coding)]
        case "token", "Coding":
            return token(code, value, "code") + texts(code, value)
        case "token", "Identifier":
            return token(code, value, "value") + typed(code, value)
        case "token", "ContactPoint":
            return [(code, escaped(value["value"]))] if "value" in value else []
        case "token", "boolean":
            return [(code, "true" if value else "false")]
        case "token", "truth":
            return [(code, "true" if value is not False else "false")]
        case "token", _:
            return [(code, escaped(value)), (code, escaped(path.system or "") + "|" + escaped(value))]
        case "reference", "Reference":
            return reference(parameter, value)
        case "reference", _:
            return [(code, escaped(value)), (code, escaped(value.split("|")[0]))]
        case "date", datatype:
            return dates(code, datatype, value)
        case "string", datatype:
            return [query for part in texts_of(value, datatype) for query in strings(code, part)]
        case "uri", datatype:
            return uris(code, datatype, value)
        case "number", datatype:
            return numbers(code, datatype, value)
        case "quantity", datatype:
            return quantities(code, datatype, value)
        case "special", "Period":
            return []  # what closes a service finds nothing
        case "special", _ if code == "open-at":
            day, time = value["daysOfWeek"][0], value["availableStartTime"]
            return [(code, f"{day}|{time}"), (code, f"{day.upper()}|{time[:5]}"), (code, f"sun|12:00,{day}|{time}")]
        case "special", _:
            here = f"{value['latitude']}|{value['longitude']}"
            return [(code, here), (code, here + "|1|km"), (code, here + "|1|[mi_us]"), (code, here + "|10")]
    raise AssertionError(parameter)


def of_group(parameter: SearchParameter, group: Group, element: Any) -> list[tuple[str, str]]:
    """Both components of one element, each in each of its forms, with a '$' between."""
    sides = [
        [
            text
            for path in part.paths
            for value in values_at(element, path)
            for name, text in queries(SearchParameter("x", part.kind, part.paths, "", ("Any",)), path, value)
            if name == "x" and not (part.kind == "token" and text.endswith("|"))
        ]
        for part in group.parts
    ]
    return [(parameter.code, f"{first}${second}") for first in sides[0] for second in sides[1]]


def bearers(resource: Any, group: Group) -> list[Any]:
    """The elements that bear both components."""
    if not group.at:
        return [resource]
    value = resource.get(group.at[0].name)
    return [] if value is None else list(below(group.at)(value))


def uris(code: str, datatype: str, value: str) -> list[tuple[str, str]]:
    plain = value.split("|")[0]
    out = [(code, escaped(value))] + [(code, escaped(plain))] * (datatype == "canonical")
    if "://" in value:
        out += [(code + ":below", escaped(plain)), (code + ":above", escaped(plain + "/more"))]
        out.append((code + ":below", escaped(plain.rpartition("/")[0])))
    return out


def numbers(code: str, datatype: str, value: Any) -> list[tuple[str, str]]:
    if datatype == "Range":
        low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
        out = [(code, f"{prefix}{low}") for prefix in ("ge", "ap") if low is not None]
        return out + [(code, f"{prefix}{high}") for prefix in ("le", "ap") if high is not None]
    return [(code, f"{prefix}{value}") for prefix in ("", "eq", "ge", "le", "ap")]


def quantities(code: str, datatype: str, value: Any) -> list[tuple[str, str]]:
    """The number, and the number with each way to write its unit."""
    unit = value
    if datatype == "Range":
        unit = value.get("low") or value["high"]
    if datatype == "SampledData":
        unit = value["origin"]
        numeric = [(code, f"ap{sample}") for sample in value["data"].split() if sample[0] in "-0123456789"][:1]
    elif datatype == "Range" or "comparator" not in value:
        numeric = numbers(code, datatype, value if datatype == "Range" else value.get("value"))
    else:
        numeric = [(code, ("lt" if "<" in value["comparator"] else "gt") + str(value["value"]))]
    out = list(numeric)
    for word in (unit.get("code"), unit.get("unit"), unit.get("currency")):
        out += [(name, f"{text}||{escaped(word)}") for name, text in numeric if word]
    if unit.get("system") and unit.get("code"):
        out += [(name, f"{text}|{escaped(unit['system'])}|{escaped(unit['code'])}") for name, text in numeric]
    return out


def token(code: str, value: dict, member: str) -> list[tuple[str, str]]:
    out = []
    system = escaped(value.get("system", ""))
    if member in value:
        out = [(code, escaped(value[member])), (code, f"{system}|{escaped(value[member])}")]
    return [*out, (code, system + "|")] if system else out


def texts(code: str, coding: dict) -> list[tuple[str, str]]:
    """What :text finds: the display, in another case."""
    folded = normalise(coding.get("display") or "")
    return [(code + ":text", escaped(folded.upper())), (code + ":text", escaped(folded[:2]))] if folded else []


def typed(code: str, identifier: dict) -> list[tuple[str, str]]:
    """An identifier by the system and code of its type."""
    codings = identifier.get("type", {}).get("coding", [])
    parts = [(c["system"], c["code"], identifier["value"]) for c in codings if {"system", "code"} <= set(c)]
    return [(code + ":of-type", "|".join(escaped(part) for part in three)) for three in parts]


def reference(parameter: SearchParameter, value: dict) -> list[tuple[str, str]]:
    code, out = parameter.code, []
    if "identifier" in value:
        out += token(code + ":identifier", value["identifier"], "value")
    text = value.get("reference", "").split("/_history/")[0].removeprefix(BASE + "/")
    if "://" in text:
        return [*out, (code, text)]
    if not text or text.startswith(("#", "urn:")):
        return out
    rtype, fhir_id = text.split("/")
    if parameter.targets != ("Any",) and rtype not in parameter.targets:
        return out
    out += [(code, text), (code, f"{BASE}/{text}"), (f"{code}:{rtype}", fhir_id), (code, text + "/_history/2")]
    return [*out, (code, fhir_id)] if rtype in catalog().types else out


def dates(code: str, datatype: str, value: Any) -> list[tuple[str, str]]:
    if datatype == "Period":
        starts = [(code, prefix + value["start"]) for prefix in ("ge", "ap") if "start" in value]
        return starts + [(code, "le" + value["end"]) for _ in range(1) if "end" in value]
    if datatype == "Timing":
        dated = "event" in value or "boundsPeriod" in value.get("repeat", {})
        return [(code, "ap" + event) for event in value.get("event", [])] + [(code, "ge1990")] * dated
    return [(code, prefix + value) for prefix in ("", "eq", "ge", "le", "ap")] + [(code, value[:4])]


def strings(code: str, text: str) -> list[tuple[str, str]]:
    out = [(code + ":exact", escaped(text))] if len(text) <= MAX_VALUE else []
    folded = normalise(text)
    out += [(code + ":contains", escaped(part)) for part in (folded[1:], folded[-3:]) if part.strip()]
    return out + [(code, escaped(folded[:size])) for size in (1, 3, LIMIT) if folded[:size].strip()]
