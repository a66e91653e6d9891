"""From a token's row to its Caller: the columns that end it, those that it carries, the role of a person now."""

from dataclasses import replace
from typing import Any

import pytest

from service.auth import bearer
from service.auth.bearer import bearer_digest, caller_now, caller_of, insufficient_scope
from service.auth.tokens import SANDBOX_MAX_TTL_S, USER_TTL_S
from service.caller import Caller, Reached, Role
from service.errors import FhirError
from service.store.credentials import TokenRow

SECOND = 1_000_000
ROW = TokenRow("c", "system/Task.rs", 0, 300 * SECOND, None, "cbo", "Organization/o", None, "COC", True)
PERSON = replace(ROW, role="lcm", person="Practitioner/p", account="acct")


def refused(row: TokenRow | None, now_us: int = 1, env: str = "production") -> str:
    with pytest.raises(FhirError) as caught:
        caller_of(row, now_us, env)
    return caught.value.reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"revoked_us": 0}, "token-revoked"),
        ({"expires_us": 1}, "token-expired"),
        ({"expires_us": USER_TTL_S * SECOND + 1}, "token-sandbox"),
        ({"client_active": False}, "client-inactive"),
        ({"organization_active": False}, "organization-inactive"),
        ({"person_active": False}, "person-inactive"),
        ({"role": "system"}, "client-role"),
        ({"role": "nobody"}, "client-role"),
    ],
)
def test_each_column_ends_a_token(changed: dict[str, Any], reason: str) -> None:
    assert caller_of(replace(ROW, expires_us=2), 1).client_id == "c"
    assert refused(replace(ROW, **changed)) == reason


def test_no_token_lives_longer_than_its_environment_allows() -> None:
    for env, longest in (("production", USER_TTL_S), ("sandbox", SANDBOX_MAX_TTL_S)):
        assert caller_of(replace(ROW, expires_us=longest * SECOND), 1, env)
        assert refused(replace(ROW, expires_us=longest * SECOND + 1), 1, env) == "token-sandbox"


def test_the_caller_is_what_the_row_says() -> None:
    row = replace(PERSON, patient="Patient/a", above=("x", "y"), scopes="patient/Task.rs")
    caller = caller_of(row, 1)
    wanted = Caller("c", Role.LCM, "Organization/o", "Practitioner/p", row.scopes, purpose="COC", patient="Patient/a",
                    above=("Organization/x", "Organization/y"))  # fmt: skip
    assert caller == wanted
    assert caller.allows.reaches("r", "Task") == (Reached(patient=True),)  # type: ignore[attr-defined]
    assert not caller_of(replace(row, patient=None), 1).allows("r", "Task")


async def test_a_person_acts_in_a_role_that_is_in_force_now(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    async def still_acts(_store: Any, *who: Any) -> bool:
        asked.append(who)
        return who[-1] == 1

    monkeypatch.setattr(bearer, "still_acts", still_acts)
    store: Any = None
    assert (await caller_now(store, PERSON, 1)).person == "Practitioner/p"
    assert (await caller_now(store, ROW, 2)).person is None
    assert asked == [("acct", "Practitioner/p", "Organization/o", "lcm", 1)]
    with pytest.raises(FhirError) as caught:
        await caller_now(store, PERSON, 2)
    assert caught.value.reason == "person-role"
    with pytest.raises(FhirError):
        await caller_now(store, None, 1)
    await caller_now(store, replace(PERSON, person=None), 1)
    assert asked[-1][1] == ""


def test_reasons_and_the_challenge() -> None:
    with pytest.raises(FhirError) as caught:
        bearer_digest("Bearer " + "A" * 43, ["access_token", "_id"])
    assert caught.value.reason == "token-in-query"
    error = insufficient_scope("u", "Task")
    assert error.reason == "scope" and "system/Task.u" in error.issues[0].diagnostics
    assert error.headers["WWW-Authenticate"].endswith('scope="system/Task.u"')


def test_other_parameters_are_none_of_the_tokens_business() -> None:
    assert bearer_digest("Bearer " + "A" * 43, ["_id", "_count"]) == bearer_digest("Bearer " + "A" * 43)


def test_production_is_told_what_is_needed_and_no_more() -> None:
    with pytest.raises(FhirError) as caught:
        bearer_digest(None)
    assert [issue.diagnostics for issue in caught.value.issues] == [bearer._NEEDED]
