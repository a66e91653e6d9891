"""The shortcut finds what the route table finds, for every path that it takes upon itself."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match

from service.api.fhir import routes
from service.api.fhir_front import FhirFront

FRONT, TABLE = FhirFront(lambda *_: None), routes()  # type: ignore[arg-type, return-value]
WORDS = (
    "Patient",
    "Task",
    "AuditEvent",
    "Nope",
    "metadata",
    "_history",
    "_search",
    "$validate",
    "1",
    "a.b",
    "",
    "fhir",
    "x\n",
)


def by_table(path: str) -> tuple[object, dict[str, str]]:
    scope = {"type": "http", "path": path, "method": "GET", "root_path": ""}
    for route in TABLE:
        match, child = route.matches(scope)
        if match is not Match.NONE:
            return route.path.removesuffix("/").removeprefix("/fhir"), child["path_params"]
    raise AssertionError(path)


def check(path: str) -> bool:
    found = FRONT.find(path)
    if found is None:
        return False
    shape = next(shape for shape, endpoint in FRONT._endpoints.items() if endpoint is found[0])
    assert (shape, found[1]) == by_table(path), path
    return True


def test_every_combination_of_words() -> None:
    paths = [
        "/fhir" + "".join("/" + w for w in words)
        for n in range(6)
        for words in itertools.product(WORDS, repeat=min(n, 4))
    ]
    assert sum(map(check, set(paths))) > 300


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=6), st.booleans())
def test_any_path(words: list[str], slash: bool) -> None:
    check("/fhir/" + "/".join(words) + "/" * slash)


def test_the_base_itself_with_and_without_slash() -> None:
    found = FRONT.find("/fhir")
    assert found is not None and found[1] == {} and FRONT.find("/fhir/") == found


def test_what_is_not_the_fhir_base_is_passed_on() -> None:
    for path in (
        "",
        "/",
        "/fhirx/Patient",
        "/x/Patient/1",
        "/fhir/metadata",
        "//fhir/Patient",
        "/fhir//Patient",
    ):
        assert FRONT.find(path) is None
