"""THE tables of HSDS 3 as far as they are read: columns with their kind, and where a table stands inside another.

Source: https://github.com/openreferral/specification, schema/*.json of 3.0 to 3.2. A column that is not listed here is
taken as it comes and kept.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """path: its CSV file. kinds: column -> kind of value, "text" where not listed. needs: columns that must be there.

    lists: member of the JSON form -> table of its entries. one: member -> table of the single object there.
    """

    path: str
    kinds: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ("id",)
    lists: dict[str, str] = field(default_factory=dict)
    one: dict[str, str] = field(default_factory=dict)


_CLASSED = {"attributes": "attribute", "metadata": "metadata"}

TABLES: dict[str, Table] = {
    "organization": Table(
        "organizations.csv",
        {"email": "email", "website": "url", "logo": "url", "uri": "url", "year_incorporated": "number"},
        ("id", "name"),
        {
            "additional_websites": "url",
            "funding": "funding",
            "contacts": "contact",
            "phones": "phone",
            "programs": "program",
            "organization_identifiers": "organization_identifier",
            **_CLASSED,
        },
    ),
    "program": Table("programs.csv", {}, ("id", "name"), _CLASSED),
    "service": Table(
        "services.csv",
        {
            "url": "url",
            "email": "email",
            "status": "status",
            "minimum_age": "age",
            "maximum_age": "age",
            "assured_date": "date",
            "assurer_email": "email",
        },
        ("id", "name", "status", "organization_id"),
        {
            "additional_urls": "url",
            "phones": "phone",
            "schedules": "schedule",
            "service_areas": "service_area",
            "service_at_locations": "service_at_location",
            "languages": "language",
            "funding": "funding",
            "cost_options": "cost_option",
            "required_documents": "required_document",
            "contacts": "contact",
            "capacities": "service_capacity",
            **_CLASSED,
        },
        {"program": "program"},
    ),
    "service_at_location": Table(
        "service_at_location.csv",
        {},
        ("id", "location_id"),
        {
            "service_areas": "service_area",
            "contacts": "contact",
            "phones": "phone",
            "schedules": "schedule",
            **_CLASSED,
        },
    ),
    "location": Table(
        "locations.csv",
        {"url": "url", "latitude": "latitude", "longitude": "longitude", "location_type": "location type"},
        ("id",),
        {
            "languages": "language",
            "addresses": "address",
            "contacts": "contact",
            "accessibility": "accessibility",
            "phones": "phone",
            "schedules": "schedule",
            **_CLASSED,
        },
    ),
    "phone": Table("phones.csv", {"extension": "number"}, ("id", "number"), {"languages": "language", **_CLASSED}),
    "contact": Table("contacts.csv", {"email": "email"}, ("id",), {"phones": "phone", **_CLASSED}),
    "address": Table("addresses.csv", {}, ("id",), _CLASSED),
    "schedule": Table(
        "schedules.csv",
        {
            "valid_from": "date",
            "valid_to": "date",
            "dtstart": "date",
            "until": "date",
            "timezone": "number",
            "count": "number",
            "interval": "number",
            "opens_at": "time",
            "closes_at": "time",
            "byday": "days",
            "freq": "frequency",
            "schedule_link": "url",
        },
        ("id",),
        _CLASSED,
    ),
    "service_area": Table("service_areas.csv", {"uri": "url"}, ("id",), _CLASSED),
    "language": Table("languages.csv", {"code": "language"}, ("id",), _CLASSED),
    "funding": Table("funding.csv", {}, ("id",), _CLASSED),
    "accessibility": Table("accessibility.csv", {"url": "url"}, ("id",), _CLASSED),
    "cost_option": Table(
        "cost_options.csv",
        {"valid_from": "date", "valid_to": "date", "amount": "amount", "currency": "currency"},
        ("id",),
        _CLASSED,
    ),
    "required_document": Table("required_documents.csv", {"uri": "url"}, ("id",), _CLASSED),
    "organization_identifier": Table("organization_identifiers.csv", {}, ("id",), _CLASSED),
    "url": Table("urls.csv", {"url": "url"}, ("id", "url"), _CLASSED),
    "service_capacity": Table(
        "service_capacity.csv",
        {"available": "number", "maximum": "number"},
        ("id", "available"),
        _CLASSED,
        {"unit": "unit"},
    ),
    "unit": Table("units.csv", {"uri": "url"}, ("id",), _CLASSED),
    "attribute": Table("attributes.csv", {}, ("id",), {"metadata": "metadata"}, {"taxonomy_term": "taxonomy_term"}),
    "taxonomy_term": Table(
        "taxonomy_terms.csv", {"term_uri": "url"}, ("id",), _CLASSED, {"taxonomy_detail": "taxonomy"}
    ),
    "taxonomy": Table("taxonomies.csv", {"uri": "url"}, ("id",), {"metadata": "metadata"}),
    "metadata": Table("metadata.csv", {}, ("id",)),
}

NUMBERS = frozenset({"number", "age", "latitude", "longitude", "amount"})
"""Kinds whose values are numbers in JSON."""

STATUSES = ("active", "inactive", "defunct", "temporarily closed")
LOCATION_TYPES = ("physical", "postal", "virtual")
