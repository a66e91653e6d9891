"""A foreign resource must answer exactly like an absent one: status, headers and body, the id asked for aside."""

from typing import Any

import httpx

VARY = {"x-request-id", "date", "content-length"}


async def same_answers(client: httpx.AsyncClient, method: str, path: str, foreign: str, **more: Any) -> httpx.Response:
    """Sends the request with {id} as the foreign id and as an absent one; bodies may hold {id} too."""
    absent = "zz" + foreign[2:] if len(foreign) > 2 else "z" * len(foreign)
    answers = []
    for one in (foreign, absent):
        filled = _filled(more, one)
        answers.append(await client.request(method, path.replace("{id}", one), **filled))
    ours, other = answers
    assert ours.status_code == other.status_code, (ours.text, other.text)
    assert ours.text.replace(foreign, absent) == other.text.replace(foreign, absent), (ours.text, other.text)
    assert _headers(ours) == _headers(other)
    return ours


def _filled(value: Any, one: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, one) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, one) for inner in value]
    return value.replace("{id}", one) if isinstance(value, str) else value


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARY}
