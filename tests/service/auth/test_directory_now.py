"""Client, organization and person as the directory says now: each request asks, nothing is kept.

Source: ../shared/facts/security.md T22, end of 1.1, G3.
"""

import os
from typing import Any

import pytest

from service.access.new_version import deletion
from service.auth.bearer import authenticate
from service.errors import FhirError
from service.store import credentials, read
from service.store.change import Change
from service.store.engine import Store
from tests.service.world import access_token, change_of, make, put, ref

ORGANIZATION, PERSON = "Organization/o", "Practitioner/p"


async def directory(store: Store) -> str:
    """o is part of a, that of b, that of c, that of d; a token of o for p."""
    line = ["o", "a", "b", "c", "d"]
    for part, whole in reversed(list(zip(line, [*line[1:], ""], strict=True))):
        more: dict[str, Any] = {"partOf": ref(f"Organization/{whole}")} if whole else {}
        await put(store, make(f"Organization/{part}", name=part, **more))
    await put(store, make(PERSON, name=[{"family": "One"}]))
    return await access_token(store, "lcm", ORGANIZATION, PERSON)


async def told(store: Store, token: str) -> str:
    """ "" where the token is good, else why it is not."""
    try:
        await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    except FhirError as error:
        assert error.category.status == 401
        return error.reason or ""
    return ""


async def test_what_the_organization_is_part_of(store: Store) -> None:
    """Three levels up, nearest first: as far as a Consent may name the caller."""
    token = await directory(store)
    caller = await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    assert caller.above == ("Organization/a", "Organization/b", "Organization/c")
    await store.commit(change_of(store, make("Organization/a", name="a"), expect=1))
    caller = await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    assert caller.above == ("Organization/a",)
    circle = make("Organization/a", name="a", partOf=ref(ORGANIZATION))
    await store.commit(change_of(store, circle, expect=2))
    caller = await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    assert caller.above == ("Organization/a", ORGANIZATION, "Organization/a")


@pytest.mark.parametrize(("reference", "why"), [(ORGANIZATION, "organization-inactive"), (PERSON, "person-inactive")])
async def test_t22_who_is_inactive_is_refused_at_the_next_call(store: Store, reference: str, why: str) -> None:
    token = await directory(store)
    assert await told(store, token) == ""
    version = 1
    for _ in range(500 if os.environ.get("ENLACE_TEST_DEEP") else 2):
        for active in (False, True):
            body = make(reference, name="x" if reference == ORGANIZATION else [{"family": "x"}], active=active)
            await store.commit(change_of(store, body, expect=version))
            version += 1
            assert await told(store, token) == ("" if active else why)
    rtype, _, fhir_id = reference.partition("/")
    gone = deletion(rtype, fhir_id, version, patient=None, source_org=0)
    await store.commit(Change(writes=[gone]))
    assert await told(store, token) == why


async def test_an_inactive_parent_or_colleague_ends_nothing(store: Store) -> None:
    token = await directory(store)
    await store.commit(change_of(store, make("Organization/a", name="a", active=False), expect=1))
    await put(store, make("Practitioner/q", active=False))
    assert await told(store, token) == ""


async def test_tokens_read_together_are_read_alike(store: Store) -> None:
    """On PostgreSQL waiting requests share a statement."""
    from service.auth.tokens import digest_of

    digest = digest_of(await directory(store))
    assert digest is not None
    assert await read.token(store, digest) == await credentials.token_row(store, digest)
    assert await read.token(store, b"x" * 32) is None
