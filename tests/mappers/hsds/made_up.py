"""A made-up directory in HSDS 3: one service with every table, and plain ones by the thousand."""

from decimal import Decimal
from typing import Any

HSIS = "http://211hsis.org"

LANGUAGES = [{"id": "l-1", "name": "Spanish", "code": "es", "note": "Two of the staff"}]
PHONES = [
    {
        "id": "p-1",
        "number": "+1 209-555-0140",
        "extension": 7,
        "type": "voice",
        "description": "Front desk",
        "languages": LANGUAGES,
    }
]
SCHEDULES = [
    {"id": "s-1", "freq": "WEEKLY", "byday": "MO,WE", "opens_at": "09:00", "closes_at": "16:30", "notes": "Ring twice"},
    {"id": "s-2", "freq": "MONTHLY", "bymonthday": "1,15", "opens_at": "10:00", "closes_at": "12:00"},
]
CONTACTS = [{"id": "c-1", "name": "Ada Made-Up", "title": "Intake", "email": "ada@example.org", "phones": PHONES}]

LOCATION: dict[str, Any] = {
    "id": "loc-1",
    "location_type": "physical",
    "organization_id": "org-1",
    "name": "Harvest Hall",
    "alternate_name": "The Hall",
    "description": "Behind the school",
    "transportation": "Bus 4",
    "url": "https://harvest.example.org/hall",
    "latitude": Decimal("37.9577"),
    "longitude": Decimal("-121.29078"),
    "external_identifier": "42",
    "external_identifier_type": "parcel",
    "languages": LANGUAGES,
    "addresses": [
        {
            "id": "a-1",
            "attention": "Front desk",
            "address_1": "12 Made-Up Lane",
            "address_2": "Suite 2",
            "city": "Stockton",
            "region": "San Joaquin",
            "state_province": "CA",
            "postal_code": "95202",
            "country": "US",
            "address_type": "physical",
        },
        {"id": "a-2", "address_1": "PO Box 1", "city": "Stockton", "address_type": "postal"},
    ],
    "accessibility": [{"id": "x-1", "description": "Ramp", "details": "East door", "url": "https://example.org/ramp"}],
    "phones": PHONES,
    "schedules": SCHEDULES,
}

ORGANIZATION: dict[str, Any] = {
    "id": "org-1",
    "name": "Harvest Table Made-Up",
    "alternate_name": "Harvest",
    "description": "Food for the county",
    "email": "intake@harvest.example.org",
    "website": "https://harvest.example.org",
    "additional_websites": [{"id": "u-1", "label": "Menu", "url": "https://harvest.example.org/menu"}],
    "tax_status": "501(c)(3)",
    "year_incorporated": 1999,
    "legal_status": "Nonprofit",
    "parent_organization_id": "org-9",
    "funding": [{"id": "f-1", "source": "Made-up fund"}],
    "contacts": CONTACTS,
    "phones": PHONES,
    "programs": [{"id": "g-1", "name": "Food first", "description": "A program"}],
    "organization_identifiers": [{"id": "i-1", "identifier_scheme": "X", "identifier_type": "Y", "identifier": "1"}],
}

SERVICE: dict[str, Any] = {
    "id": "svc-1",
    "name": "Food boxes",
    "alternate_name": "Boxes",
    "description": "A box of food each week ",
    "url": "https://harvest.example.org/boxes",
    "additional_urls": [{"id": "u-2", "label": "Form", "url": "https://harvest.example.org/form"}],
    "email": "boxes@harvest.example.org",
    "status": "temporarily closed",
    "interpretation_services": "By telephone",
    "application_process": "Call, or be referred",
    "fees_description": "Free for members",
    "accreditations": "Made-up seal",
    "eligibility_description": "People who live in the county",
    "minimum_age": 18,
    "maximum_age": 120,
    "assured_date": "2026-02-11",
    "assurer_email": "keeper@example.org",
    "alert": "Closed in the first week of May",
    "last_modified": "2026-02-11T10:30:45.123Z",
    "phones": PHONES,
    "schedules": SCHEDULES,
    "service_areas": [{"id": "z-1", "name": "San Joaquin County", "extent_type": "text"}],
    "service_at_locations": [
        {"id": "w-1", "location_id": "loc-1", "description": "At the back", "phones": PHONES, "schedules": SCHEDULES}
    ],
    "languages": [*LANGUAGES, {"id": "l-2", "name": "Hmong"}],
    "organization_id": "org-1",
    "funding": [{"id": "f-2", "source": "Made-up gifts"}],
    "cost_options": [
        {
            "id": "o-1",
            "option": "Others",
            "currency": "usd",
            "amount": Decimal("4.50"),
            "amount_description": "a box",
            "valid_from": "2026-01-01",
            "valid_to": "2026-12-31",
        }
    ],
    "program": {"id": "g-1", "name": "Food first", "description": "A program"},
    "required_documents": [{"id": "d-1", "document": "Proof of address"}],
    "contacts": CONTACTS,
    "capacities": [
        {
            "id": "k-1",
            "unit": {"id": "n-1", "name": "box"},
            "available": 12,
            "maximum": 20,
            "description": "Boxes this week",
            "updated": "2026-02-11T08:00:00.000Z",
        }
    ],
    "attributes": [
        {
            "id": "t-1",
            "link_type": "need",
            "taxonomy_term": {"id": "tt-1", "code": "BD-1800.2000", "name": "Food pantries", "taxonomy": HSIS},
        },
        {"id": "t-2", "label": "Own words", "taxonomy_term": {"id": "tt-2", "name": "Groceries"}},
    ],
    "metadata": [{"id": "m-1", "last_action_date": "2026-02-11", "last_action_type": "UPDATE", "updated_by": "Ada"}],
}


def records() -> dict[str, dict[str, dict[str, Any]]]:
    return {"organization": {"org-1": ORGANIZATION}, "location": {"loc-1": LOCATION}, "service": {"svc-1": SERVICE}}


def plain(number: int) -> dict[str, Any]:
    """A service with its organization and place nested in it."""
    org, place = number % 97, number % 971
    return {
        "id": f"svc-{number}",
        "name": f"Service {number}",
        "status": "active",
        "organization": {"id": f"org-{org}", "name": f"Organization {org}"},
        "service_at_locations": [
            {
                "id": f"at-{number}",
                "location": {
                    "id": f"loc-{place}",
                    "location_type": "physical",
                    "latitude": Decimal(37_000 + place) / 1000,
                    "longitude": Decimal(-121_000 - place) / 1000,
                },
            }
        ],
    }
