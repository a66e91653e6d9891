"""What an answer shows, for tests of what it must not show."""

import httpx


def ids(answer: httpx.Response) -> list[str]:
    """References of a Bundle's entries, sorted."""
    entries = answer.json().get("entry", [])
    return sorted(f"{e['resource']['resourceType']}/{e['resource'].get('id')}" for e in entries)
