"""A path below the FHIR base -> the row's path in THE route table and the parts of it; used by HTTP and by Bundles."""

from fhir_profiles.catalog import catalog

Shape = tuple[str, dict[str, str]]


def shape_of(parts: list[str]) -> Shape | None:
    """parts: of the path, decoded, without the base and without a slash at the end. None: the route table must look."""
    if "" in parts:
        return None
    match parts:
        case []:
            return "", {}
        case [name] if name in ("_history", "_search") or name[0] == "$":
            return f"/{name}", {}
    if parts[0] not in catalog().types:
        return None
    params = {"type": parts[0]}
    match parts[1:]:
        case []:
            return "/{type}", params
        case [name] if name[0] == "$" or name in ("_search", "_history"):
            return "/{type}/" + name, params
        case [fhir_id]:
            return "/{type}/{id}", {**params, "id": fhir_id}
        case [fhir_id, name] if name[0] == "$" or name == "_history":
            return "/{type}/{id}/" + name, {**params, "id": fhir_id}
        case [fhir_id, "_history", version]:
            return "/{type}/{id}/_history/{part}", {**params, "id": fhir_id, "part": version}
        case [fhir_id, part]:
            return "/{type}/{id}/{part}", {**params, "id": fhir_id, "part": part}
        case [fhir_id, part, "_search"]:
            return "/{type}/{id}/{part}/_search", {**params, "id": fhir_id, "part": part}
    return None
