"""`enlace keys`: rotate, and say which key signs."""

from service.auth.signing_keys import OVERLAP_S, SigningKeys
from service.cli.keys import shown
from service.store.engine import Store
from service.store.signing_keys import signing_keys
from tests.frozen_clock import FrozenClock

POSTGRESQL_IN_DEEP = True


async def test_the_list_says_which_key_signs_and_which_is_next(store: Store, clock: FrozenClock) -> None:
    ours = SigningKeys(b"s" * 64)
    first = await ours.rotate(store, clock.now_us())
    second = await ours.rotate(store, clock.now_us())
    states = {row["kid"]: row["state"] for row in shown(await signing_keys(store), clock.now_us())}
    assert states == {first.kid: "signs", second.kid: "next"}
    clock.advance(OVERLAP_S * 1_000_000)
    rows = shown(await signing_keys(store), clock.now_us())
    assert {row["kid"]: row["state"] for row in rows} == {first.kid: "published", second.kid: "signs"}
    assert all(set(row) == {"kid", "state", "signs_from", "published_until"} for row in rows)
    clock.advance(3600 * 1_000_000)
    states = {row["kid"]: row["state"] for row in shown(await signing_keys(store), clock.now_us())}
    assert states == {first.kid: "retired", second.kid: "signs"}
    (kinds,) = await store.fetch("SELECT count(*) FROM audit WHERE kind = ?", ("keys-rotate",))
    assert kinds[0] == 2
