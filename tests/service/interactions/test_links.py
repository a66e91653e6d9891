"""Page links: opaque, sealed, bound to the caller and to the search."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.caller import Caller, Role
from service.errors import FhirError
from service.interactions.links import Links, Place, place, take_page
from service.search.criteria import Criteria

KEY = b"k" * 32
URL = "http://h/fhir/Task"
ME, YOU = Caller("me", Role.CBO, "Organization/a"), Caller("you", Role.CBO, "Organization/a")
PARAMS = [("status", "x|y"), ("name", "Núñez & co"), ("_count", "5")]


def next_url(after: int | str, *, hidden: bool = False) -> str:
    return Links(URL, Place(None, PARAMS, hidden), ME, KEY)(PARAMS, after)["next"]


def token_of(after: int | str, *, hidden: bool = False) -> str:
    return next_url(after, hidden=hidden).rpartition("_page=")[2]


@pytest.mark.parametrize("after", [0, 1, 2**62, "abc", "17.2.3"])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_link_leads_back_to_its_position_and_search(after: int | str, hidden: bool) -> None:
    params, token = take_page(parse_qsl(urlsplit(next_url(after, hidden=hidden)).query))
    assert params == ([] if hidden else PARAMS)
    assert place(token, params, ME, KEY) == Place(after, PARAMS, hidden)


def test_links_of_a_post_search_show_no_value() -> None:
    made = Links(URL, Place(None, PARAMS, True), ME, KEY)(PARAMS, 7)
    assert made["self"] == URL
    assert set(dict(parse_qsl(urlsplit(made["next"]).query))) == {"_page"}


@pytest.mark.parametrize(
    ("params", "caller", "key"),
    [(PARAMS[:2], ME, KEY), ([*PARAMS, ("a", "b")], ME, KEY), (PARAMS, YOU, KEY), (PARAMS, ME, b"other")],
)
def test_a_link_is_bound(params: list[tuple[str, str]], caller: Caller, key: bytes) -> None:
    with pytest.raises(FhirError):
        place(token_of(7), params, caller, key)


def test_a_hidden_search_is_bound_to_its_caller() -> None:
    with pytest.raises(FhirError):
        place(token_of(7, hidden=True), [], YOU, KEY)


@given(st.text(max_size=60))
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        place(text, PARAMS, ME, KEY)
    assert refused.value.category.status == 400


@pytest.mark.parametrize("hidden", [False, True])
def test_each_changed_character_is_noticed(hidden: bool) -> None:
    token = token_of(12345, hidden=hidden)
    for at in range(len(token) - 1):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(FhirError):
            place(changed, [] if hidden else PARAMS, ME, KEY)


def test_the_self_link_shows_what_was_executed() -> None:
    executed = Criteria("Task", used=(("status", "x|y"),))
    made = Links(URL, Place(None, PARAMS, False), ME, KEY).of_search()(executed, None)
    assert made == {"self": "http://h/fhir/Task?status=x|y"}
    assert take_page([("a", "1"), ("_page", "t")]) == ([("a", "1")], "t")
    assert take_page([("a", "1")]) == ([("a", "1")], None)
