"""Page links: opaque, signed, bound to the caller and to the search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.links import links, position, search_links, take_page
from service.caller import Caller, Role
from service.errors import FhirError
from service.search.criteria import Criteria

KEY = b"k" * 32
ME, YOU = Caller("me", Role.CBO, "Organization/a"), Caller("you", Role.CBO, "Organization/a")
PARAMS = [("status", "x|y"), ("name", "Núñez & co"), ("_count", "5")]


def token_of(after: int | str) -> str:
    url = links("http://h/fhir/Task", PARAMS, PARAMS, ME, KEY, after)["next"]
    return url.rpartition("_page=")[2]


@pytest.mark.parametrize("after", [0, 1, 2**62, "abc", "17.2.3"])
def test_a_link_leads_back_to_its_position(after: int | str) -> None:
    assert position(token_of(after), PARAMS, ME, KEY) == after


@pytest.mark.parametrize(
    ("params", "caller", "key"),
    [(PARAMS[:2], ME, KEY), ([*PARAMS, ("a", "b")], ME, KEY), (PARAMS, YOU, KEY), (PARAMS, ME, b"other")],
)
def test_a_link_is_bound(params: list[tuple[str, str]], caller: Caller, key: bytes) -> None:
    with pytest.raises(FhirError):
        position(token_of(7), params, caller, key)


@given(st.text(max_size=60))
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        position(text, PARAMS, ME, KEY)
    assert refused.value.category.status == 400


def test_each_changed_character_is_noticed() -> None:
    token = token_of(12345)
    for place in range(len(token) - 1):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(FhirError):
            position(changed, PARAMS, ME, KEY)


def test_the_self_link_shows_what_was_executed() -> None:
    made = search_links("http://h/fhir/Task", PARAMS, ME, KEY)(Criteria("Task", used=(("status", "x|y"),)), None)
    assert made == {"self": "http://h/fhir/Task?status=x|y"}
    assert take_page([("a", "1"), ("_page", "t")]) == ([("a", "1")], "t")
    assert take_page([("a", "1")]) == ([("a", "1")], None)
