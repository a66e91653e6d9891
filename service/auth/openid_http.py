"""Authlib's client over our one outbound client: it follows no redirect, reaches public addresses only, reads 64 KB.

Authlib's framework-free core is taken, not its httpx client: that one warns for httpx2, and only service/egress.py may
speak HTTP here. Imported on the first sign-in, for the start time.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]

from service.egress import Answer


class Outbound(Protocol):
    """service.egress.Egress, or what stands for it in a test."""

    async def request(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer: ...


class BadStatus(Exception):
    """The token endpoint answered with an error that is no OAuth error."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class _Response:
    """As much of a response as Authlib looks at."""

    def __init__(self, answer: Answer):
        self.status_code, self._body = answer.status, answer.body

    def json(self) -> Any:
        try:
            return json.loads(self._body)
        except RecursionError:
            raise ValueError("too deep") from None

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise BadStatus(self.status_code)


class OverEgress(OAuth2Client):  # type: ignore[misc]
    """`session` is an Outbound."""

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, method: str = "POST", **_: Any
    ) -> Any:
        # A copy: Authlib writes the secret into the headers, which are its own defaults, shared by all its clients.
        url, sent, body = auth.prepare(method, url, dict(headers or {}), body)
        answer = await self.session.request(method, url, content=body.encode(), headers=sent)
        return self.parse_response_token(_Response(answer))


def oauth_client(outbound: Outbound, **facts: Any) -> Any:
    """facts: client_id, client_secret, redirect_uri and so on."""
    return OverEgress(outbound, code_challenge_method="S256", **facts)
