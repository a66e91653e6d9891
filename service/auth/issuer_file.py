"""The operator's file about the external issuer (ENLACE_ISSUER_FILE): who it is, and what its claims mean here.

JSON; docs/operator.md shows one. Every problem is named at the start of the service, with its member.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.auth.jwks import BadKeySet, check_registered_url
from service.caller import Role
from service.search.purposes import KNOWN
from service.settings import SettingsError

CLAIMS = {
    "client": "client_id",
    "organization": "organization",
    "role": "role",
    "person": "fhirUser",
    "scope": "scope",
    "patient": "patient",
}
"""What we need to know -> in which claim it stands, where the file names no other. `purpose`: TREAT without one."""
_TABLES = {
    "organizations": re.compile(r"Organization/[A-Za-z0-9.-]{1,64}", re.ASCII),
    "roles": re.compile("|".join(role for role in Role if role is not Role.SYSTEM)),
    "people": re.compile(r"Practitioner/[A-Za-z0-9.-]{1,64}", re.ASCII),
    "purposes": re.compile("|".join(sorted(KNOWN))),
}
_URLS = ("issuer", "jwks_url", "token_endpoint")
_KNOWN = {*_URLS, "authorization_endpoint", "audience", "claims", "smart_configuration", *_TABLES}


@dataclass(frozen=True)
class Issuer:
    """claims: our word -> claim name. The tables: value of a claim -> what it means here."""

    issuer: str
    jwks_url: str
    token_endpoint: str
    audience: str
    claims: dict[str, str]
    organizations: dict[str, str]
    roles: dict[str, str]
    people: dict[str, str] = field(default_factory=dict)
    purposes: dict[str, str] = field(default_factory=dict)
    authorization_endpoint: str = ""
    smart_configuration: dict[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """What /fhir/.well-known/smart-configuration says: everything is the issuer's."""
        own = {"issuer": self.issuer, "jwks_uri": self.jwks_url, "token_endpoint": self.token_endpoint}
        if self.authorization_endpoint:
            own["authorization_endpoint"] = self.authorization_endpoint
        fixed = {
            "grant_types_supported": ["authorization_code"] if self.authorization_endpoint else ["client_credentials"],
            "capabilities": ["permission-patient", "permission-user", "permission-v1", "permission-v2"],
            "code_challenge_methods_supported": ["S256"],
        }
        return fixed | self.smart_configuration | own


def read_issuer(path: Path, fhir_base: str) -> Issuer:
    """Raises SettingsError with every problem."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise SettingsError(["ENLACE_ISSUER_FILE must name a readable file with one JSON object."]) from None
    if not isinstance(document, dict):
        raise SettingsError(["ENLACE_ISSUER_FILE must hold one JSON object."])
    problems = [f"ENLACE_ISSUER_FILE: {problem}" for problem in _problems(document)]
    if problems:
        raise SettingsError(problems)
    claims = CLAIMS | document.get("claims", {})
    return Issuer(**{"audience": fhir_base} | document | {"claims": claims})


def _problems(document: dict[str, Any]) -> Iterable[str]:
    for name in sorted(document.keys() - _KNOWN):
        yield f"a member is not known: remove it. Known are {', '.join(sorted(_KNOWN))}. It begins with {name[:12]!r}."
    for name in (*_URLS, *(["authorization_endpoint"] if "authorization_endpoint" in document else [])):
        try:
            check_registered_url(document.get(name, "") if isinstance(document.get(name), str) else "")
        except BadKeySet:
            yield f"`{name}` must be an absolute https URL."
    if not isinstance(document.get("audience", ""), str) or document.get("audience") == "":
        yield "`audience` must be text, or be left out: then it is the FHIR base."
    claims = document.get("claims", {})
    if not isinstance(claims, dict) or claims.keys() - {*CLAIMS, "purpose"} or not _texts(claims):
        yield f"`claims` must map {', '.join((*CLAIMS, 'purpose'))} to names of claims."
    if not isinstance(document.get("smart_configuration", {}), dict):
        yield "`smart_configuration` must be an object."
    for name, form in _TABLES.items():
        table = document.get(name, {})
        if not isinstance(table, dict) or not _texts(table) or not all(map(form.fullmatch, table.values())):
            yield f"`{name}` must map values of a claim to what they mean here, each fitting {form.pattern}."
        elif not table and name in ("organizations", "roles"):
            yield f"`{name}` must map at least one value: nobody has access without."
    if isinstance(claims, dict) and "purpose" in claims and not document.get("purposes"):
        yield "`purposes` must map at least one value where `claims` names a claim for the purpose."


def _texts(table: dict[str, Any]) -> bool:
    return all(isinstance(value, str) and value for value in table.values())
