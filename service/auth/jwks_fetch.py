"""Fetches a registered JWKS URL through the egress guard; ../shared/facts/security.md 1.1 "JWKS retrieval".

GET with `Accept: application/json`, no redirects, 3 s, 64 KB. Kept as https://www.rfc-editor.org/rfc/rfc9111 says.
"""

import asyncio
import re
from collections.abc import Mapping

from service.auth.jwks import BadKeySet, parse_key_set
from service.auth.key_sets import Fetch, Fetched
from service.egress import Egress

TIMEOUT_S = 3.0
_MAX_AGE = re.compile(r"max-age=\"?([0-9]{1,9})\"?\Z", re.ASCII)


def fetcher(egress: Egress) -> Fetch:
    """The `fetch` of KeySets over the process's one outbound client."""

    async def fetch(url: str) -> Fetched:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await egress.request("GET", url, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise BadKeySet("The key set URL did not answer 200.")
        return Fetched({"keys": parse_key_set(answer.body)}, max_age_s(answer.headers))

    return fetch


def max_age_s(headers: Mapping[str, str]) -> int | None:
    """Seconds for which Cache-Control lets the answer be used, less its Age; 0: not at all; None: it says nothing."""
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or any(part.split("=")[0] == "no-cache" for part in directives):
        return 0
    ages = [int(found[1]) for part in directives if (found := _MAX_AGE.match(part))]
    if not ages:
        return None
    age = headers.get("age", "0")
    return max(0, min(ages) - (int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0))
