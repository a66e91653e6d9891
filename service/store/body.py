"""The text of a resource with a hole for what only the commit knows: meta.versionId and meta.lastUpdated."""

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json

_SERVER_META = frozenset({"versionId", "lastUpdated", "_versionId", "_lastUpdated"})
_FIRST = frozenset({"resourceType", "id", "meta"})


def with_hole(resource: Resource) -> tuple[bytes, bytes]:
    """The text before and after the place of versionId and lastUpdated.

    resourceType, id and meta come first, everything else in the order in which the client sent it.
    """
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in _SERVER_META}
    rest = {k: v for k, v in resource.items() if k not in _FIRST}
    head = write_json({"resourceType": resource["resourceType"], "id": resource["id"]})[:-1] + b',"meta":{'
    tail = (b"," + write_json(meta)[1:] if meta else b"}") + (b"," + write_json(rest)[1:] if rest else b"}")
    return head, tail


def fill(hole: tuple[bytes, bytes], version: int, last_updated: str) -> bytes:
    """The whole text."""
    return b'%b"versionId":"%d","lastUpdated":"%b"%b' % (hole[0], version, last_updated.encode(), hole[1])
