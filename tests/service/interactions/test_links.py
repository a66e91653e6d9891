"""Page links: opaque, sealed, bound to the caller and to the search."""

import random
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.caller import Caller, Role
from service.errors import FhirError
from service.interactions.links import LONGEST, Around, Links, Place, place, take_page
from service.search.criteria import Criteria, Position

KEY = b"k" * 32
URL = "http://h/fhir/Task"
ME, YOU = Caller("me", Role.CBO, "Organization/a"), Caller("you", Role.CBO, "Organization/a")
PARAMS = [("status", "x|y"), ("name", "Núñez & co"), ("_count", "5")]
LONG = [("_id", ",".join(f"{n:036d}" for n in range(70)))]
POSITIONS: list[Position] = [(0,), (2**62, 7), ("abc", 1), ("17.2.3",), (None, 1.5, "x", 2)]


def next_url(after: Position, params: list[tuple[str, str]] = PARAMS, *, hidden: bool = False) -> str:
    return Links(URL, Place(None, params, hidden, path="Task"), ME, KEY)(params, after)["next"]


def token_of(after: Position = (7,), *, hidden: bool = False) -> str:
    return next_url(after, hidden=hidden).rpartition("_page=")[2]


def opened(url: str) -> Place:
    params, token = take_page(parse_qsl(urlsplit(url).query))
    return place(token, params, ME, KEY, path="Task")


@pytest.mark.parametrize("after", POSITIONS)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_link_leads_back_to_its_position_and_search(after: Position, hidden: bool) -> None:
    assert opened(next_url(after, hidden=hidden)) == Place(after, PARAMS, hidden, False, "Task")


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("params", [PARAMS, LONG])
def test_the_links_of_a_page_between_others(hidden: bool, params: list[tuple[str, str]]) -> None:
    made = Links(URL, Place((5,), params, hidden, path="Task"), ME, KEY)(params, Around((9,), (6,)))
    assert list(made) == ["self", "first", "previous", "next"]
    assert opened(made["previous"]) == Place((6,), params, hidden, True, "Task")
    assert opened(made["next"]) == Place((9,), params, hidden, False, "Task")
    assert opened(made["first"]) == Place(None, params, hidden, False, "Task")
    alone = Links(URL, Place(None, params, hidden, path="Task"), ME, KEY)
    assert list(alone(params, Around())) == list(alone(params, None)) == ["self"]
    assert list(alone(params, (9,))) == ["self", "next"]


def test_links_of_a_post_search_show_no_value() -> None:
    made = Links(URL, Place((5,), PARAMS, True), ME, KEY)(PARAMS, Around((7,), (6,)))
    assert made.pop("self") == URL
    for url in made.values():
        assert set(dict(parse_qsl(urlsplit(url).query))) == {"_page"}


def test_a_long_search_is_packed_into_its_links() -> None:
    url = next_url((2**62, 2**62), LONG)
    assert len(url) < 2_048 < len(LONG[0][1])
    assert "_page=" in url and "_id=" not in url
    # At the edge: as long as the parameters fit, they are shown.
    fits = LONGEST - len(next_url((7,), [("a", "")]))
    assert "a=" in next_url((7,), [("a", "x" * fits)])
    assert "a=" not in next_url((7,), [("a", "x" * (fits + 1))])


def test_what_fits_no_link_is_refused() -> None:
    noise = "".join(random.Random(4).choices("abcdefghijklmnopqrstuvwxyz0123456789-.", k=20_000))
    with pytest.raises(FhirError) as refused:
        next_url((7,), [("_id", noise)], hidden=True)
    assert refused.value.issues[0].code == "too-long"
    # One page needs no link.
    assert Links(URL, Place(None, [("_id", noise)], True), ME, KEY)([], None) == {"self": URL}


def test_the_format_stands_beside_the_seal() -> None:
    params = [*PARAMS, ("_format", "xml")]
    shown, hidden = next_url((7,), params), next_url((7,), params, hidden=True)
    for url in (shown, hidden):
        assert "_format=xml" in url
        assert opened(url).params == params
        changed = opened(url.replace("_format=xml", "_format=json&_pretty=true"))
        assert changed.after == (7,) and ("_pretty", "true") in changed.params


@pytest.mark.parametrize(
    ("params", "caller", "key", "path"),
    [
        (PARAMS[:2], ME, KEY, "Task"),
        ([*PARAMS, ("a", "b")], ME, KEY, "Task"),
        (PARAMS, YOU, KEY, "Task"),
        (PARAMS, ME, b"other", "Task"),
        (PARAMS, ME, KEY, "Goal"),
    ],
)
def test_a_link_is_bound(params: list[tuple[str, str]], caller: Caller, key: bytes, path: str) -> None:
    with pytest.raises(FhirError):
        place(token_of(), params, caller, key, path=path)


@pytest.mark.parametrize(("caller", "path"), [(YOU, "Task"), (ME, "Goal")])
def test_a_hidden_search_is_bound_to_its_caller_and_path(caller: Caller, path: str) -> None:
    with pytest.raises(FhirError):
        place(token_of(hidden=True), [], caller, KEY, path=path)


@given(st.text(max_size=60))
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        place(text, PARAMS, ME, KEY, path="Task")
    assert refused.value.category.status == 400


@pytest.mark.parametrize("hidden", [False, True])
def test_each_changed_character_is_noticed(hidden: bool) -> None:
    token = token_of((12345,), hidden=hidden)
    for at in range(len(token) - 1):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(FhirError):
            place(changed, [] if hidden else PARAMS, ME, KEY, path="Task")


def test_the_self_link_shows_what_was_executed() -> None:
    executed = Criteria("Task", used=(("status", "x|y"),))
    made = Links(URL, Place(None, PARAMS, False), ME, KEY).of_search()(executed, Around())
    assert made == {"self": "http://h/fhir/Task?status=x%7Cy"}  # a bare | is no URI to java.net.URI
    assert take_page([("a", "1"), ("_page", "t")]) == ([("a", "1")], "t")
    assert take_page([("a", "1")]) == ([("a", "1")], None)
