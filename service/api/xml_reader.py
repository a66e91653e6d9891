"""XML in, strictly: the same limits and the same value as the JSON reader's. https://hl7.org/fhir/R4/xml.html"""

from typing import Any

from fhir_profiles.xml_reader import resource_of
from fhir_profiles.xml_tree import Limits, XmlFault
from service.api.json_reader import MAX_BUNDLE_VALUES, MAX_BYTES, MAX_DEPTH, MAX_STRING, MAX_VALUES
from service.errors import Category, FhirError, Issue

LIMITS = Limits(MAX_DEPTH, MAX_VALUES, MAX_STRING, MAX_BUNDLE_VALUES)


def read_xml(data: bytes) -> Any:
    """The JSON value of a resource in XML, as read_json gives it. FhirError names line and element of each fault."""
    if len(data) > MAX_BYTES:
        raise FhirError(Category.TOO_LARGE, [Issue("The body is larger than 10 MB: split it.", code="too-long")])
    if not data.strip(b" \t\r\n\xef\xbb\xbf"):
        raise FhirError(Category.MALFORMED, [Issue("The body is empty: send one resource.", code="required")])
    try:
        return resource_of(data, LIMITS)
    except XmlFault as fault:
        issues = [
            Issue(f"Line {line}: {text}", expression=path or None, code=fault.code)
            for line, path, text in fault.problems
        ]
        raise FhirError(Category.MALFORMED, issues) from None
