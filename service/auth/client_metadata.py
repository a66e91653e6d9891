"""A client as JSON: the members of https://www.rfc-editor.org/rfc/rfc7591#section-2 that we use, and our own. Pure.

Ours: organization, role, person, purpose, kind, active, suspended; endpoints, whereto its subscriptions may send.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from service.auth.client_rules import BACKEND
from service.auth.registration import BadClient
from service.store.credentials import RegisteredClient

_TEXTS = {
    "client_name": "name",
    "organization": "organization",
    "role": "role",
    "person": "person",
    "purpose": "purpose",
    "scope": "scope",
    "jwks_uri": "jwks_url",
    "kind": "kind",
}
"""Members that hold a string, and what new_client calls them."""
_REQUIRED = ("client_name", "organization", "purpose", "scope")
_LISTS = ("redirect_uris", "endpoints")
CHANGEABLE = ("jwks", "jwks_uri", "redirect_uris", "endpoints", "scope", "suspended")


@dataclass(frozen=True)
class Changes:
    """What a PATCH says; None: it does not speak of it. keys: (JWKS text, URL), one of them."""

    scope: str | None = None
    keys: tuple[str | None, str | None] | None = None
    redirect_uris: tuple[str, ...] | None = None
    suspended: bool | None = None
    endpoints: tuple[str, ...] | None = None


def read_new(metadata: dict[str, Any]) -> dict[str, Any]:
    """The arguments of new_client; raises BadClient with every member that has not its form."""
    known = (*_TEXTS, "jwks", *_LISTS)
    problems = _forms(metadata, known)
    for name in _REQUIRED:
        if name not in metadata:
            problems.append(f"{name} is required.")
    if metadata.get("kind", BACKEND) == BACKEND and not {"jwks", "jwks_uri"} & metadata.keys():
        problems.append("jwks or jwks_uri is required: a backend service signs with its key.")
    if problems:
        raise BadClient(problems)
    facts: dict[str, Any] = {name: metadata[member] for member, name in _TEXTS.items() if member in metadata}
    if "jwks" in metadata:
        facts["jwks"] = _text(metadata["jwks"])
    return facts | {name: tuple(metadata.get(name, ())) for name in _LISTS}


def read_changes(metadata: dict[str, Any]) -> Changes:
    """Raises BadClient with every member that has not its form, or that cannot be changed."""
    problems = _forms(metadata, CHANGEABLE)
    if {"jwks", "jwks_uri"} <= metadata.keys():
        problems.append("Send jwks or jwks_uri, not both: the one replaces the other.")
    if not metadata:
        problems.append(f"Send at least one of {', '.join(CHANGEABLE)}.")
    if problems:
        raise BadClient(problems)
    keys = None
    if {"jwks", "jwks_uri"} & metadata.keys():
        keys = (_text(metadata["jwks"]) if "jwks" in metadata else None, metadata.get("jwks_uri"))
    uris, endpoints = (tuple(metadata[name]) if name in metadata else None for name in _LISTS)
    return Changes(metadata.get("scope"), keys, uris, metadata.get("suspended"), endpoints)


def changed(client: RegisteredClient, changes: Changes) -> RegisteredClient:
    """The client with them, still to be checked."""
    if changes.scope is not None:
        client = replace(client, scopes=changes.scope)
    if changes.keys is not None:
        client = replace(client, jwks=changes.keys[0], jwks_url=changes.keys[1])
    if changes.redirect_uris is not None:
        client = replace(client, redirect_uris=changes.redirect_uris)
    if changes.endpoints is not None:
        client = replace(client, endpoints=changes.endpoints)
    return client


def shown(client: RegisteredClient) -> dict[str, Any]:
    """All that is registered. There are no secrets in it: keys are public ones."""
    found: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": client.created_us // 1_000_000,
        "client_name": client.name,
        "organization": client.organization,
        "role": client.role,
        "person": client.person,
        "purpose": client.purpose,
        "scope": client.scopes,
        "kind": client.kind,
        "redirect_uris": list(client.redirect_uris),
        "endpoints": list(client.endpoints),
        "token_endpoint_auth_method": "none" if client.kind == "public" else "private_key_jwt",
        "jwks": json.loads(client.jwks) if client.jwks else None,
        "jwks_uri": client.jwks_url,
        "active": client.active,
        "suspended": client.suspended,
    }
    return {name: value for name, value in found.items() if value is not None}


def _forms(metadata: dict[str, Any], known: tuple[str, ...]) -> list[str]:
    """A sentence for each member that is not one of these, or not of its JSON type."""
    problems = []
    if not metadata.keys() <= set(known):
        problems.append(f"Some members are not known here; known are: {', '.join(known)}.")
    for name, value in metadata.items():
        if name not in known:
            continue
        if name in _TEXTS and not isinstance(value, str):
            problems.append(f"{name} is a string.")
        if name == "jwks" and not isinstance(value, dict):
            problems.append("jwks is a JSON object with a member keys.")
        if name == "suspended" and not isinstance(value, bool):
            problems.append("suspended is true or false.")
        if name in _LISTS and not _strings(value):
            problems.append(f"{name} is a list of strings.")
    return problems


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _text(jwks: dict[str, Any]) -> str:
    """Numbers that no key has would not be JSON again: they are refused as part of a key set."""
    return json.dumps(jwks, default=str)
