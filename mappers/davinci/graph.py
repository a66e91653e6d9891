"""The resources of a message Bundle by what refers to them, and the small readings that all of them share. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Resource = dict[str, Any]


def objects(value: object) -> list[Resource]:
    """The JSON objects of a list; [] for everything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def first(value: object) -> Resource:
    """The first object of a list, or the object itself; {} where there is none."""
    if isinstance(value, dict):
        return value
    return next(iter(objects(value)), {})


def text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def reference_of(value: object) -> str:
    return text(first(value).get("reference"))


def codings(value: object) -> list[Resource]:
    """Of a CodeableConcept, or a Coding by itself."""
    one = first(value)
    return objects(one.get("coding")) or ([one] if "code" in one else [])


def first_code(value: object) -> str:
    return next((text(one.get("code")) for one in codings(value) if one.get("code")), "")


class Graph:
    """A Bundle; `at` finds what a reference names by fullUrl, or by type and id."""

    def __init__(self, bundle: Resource) -> None:
        self.bundle = bundle
        self._by_url: dict[str, Resource] = {}
        self._all: list[Resource] = []
        for entry in objects(bundle.get("entry")):
            resource = entry.get("resource")
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                continue
            self._all.append(resource)
            self._by_url[text(entry.get("fullUrl"))] = resource
            if resource.get("id"):
                self._by_url[f"{resource['resourceType']}/{resource['id']}"] = resource

    def at(self, reference: str) -> Resource | None:
        if not reference:
            return None
        tail = "/".join(reference.split("/_history/")[0].split("/")[-2:])
        return self._by_url.get(reference) or self._by_url.get(tail)

    def all(self, rtype: str) -> Iterator[Resource]:
        return (one for one in self._all if one["resourceType"] == rtype)

    def first(self, rtype: str) -> Resource | None:
        return next(self.all(rtype), None)
