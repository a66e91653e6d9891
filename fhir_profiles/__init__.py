"""What Enlace conforms to: definitions as data, and the three modules that read them."""

from typing import Any

Resource = dict[str, Any]
"""A FHIR resource as valid JSON: str, bool, int, decimal.Decimal (never float), list, dict."""
