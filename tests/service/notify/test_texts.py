"""The catalogues: the same keys and holes in each language, nothing in them that could hold PHI."""

import re

import pytest

from service.notify.texts import LANGUAGES, PLACEHOLDERS, catalogue, said, spoken

LINK = "https://enlace.example.org/inbox"
VALUES: dict[str, int | str] = {"count": 3, "first": 7, "last": 9, "link": LINK, "code": "012345"}


def holes(text: str) -> set[str]:
    return set(re.findall(r"\{(.*?)\}", text))


def test_each_language_has_the_same_keys_and_placeholders() -> None:
    english = catalogue("en")
    for language in LANGUAGES:
        other = catalogue(language)
        assert set(other) == set(english)
        for key, entry in english.items():
            assert set(entry) == set(other[key]) == {"subject", "text", "sms"}, key
            for part, text in entry.items():
                assert holes(text) == holes(other[key][part]), f"{language} {key} {part}"
                assert (text != other[key][part]) == (language != "en"), f"{language} {key} {part} is not translated"


def test_no_placeholder_can_carry_phi() -> None:
    assert set(PLACEHOLDERS) == {"code", "count", "first", "last", "link"}, "numbers, and addresses of this service"
    for language in LANGUAGES:
        for key, entry in catalogue(language).items():
            for part, text in entry.items():
                assert holes(text) <= (set(PLACEHOLDERS) - ({"link"} if part == "subject" else set())), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_text_fits_its_channel(language: str) -> None:
    for key in catalogue(language):
        told = said(key, language, **VALUES)
        assert "{" not in f"{told.subject}{told.text}{told.sms}"
        assert len(told.subject) <= 78 and "\n" not in told.subject and len(told.sms) <= 160, key


@pytest.mark.parametrize(
    ("name", "value"), [("count", "Luz"), ("link", "javascript:x"), ("link", f"{LINK}?q=Luz Alvarez"), ("link", "Luz")]
)
def test_a_value_without_its_form_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        said("subscription.event", "en", **(VALUES | {name: value}))
    with pytest.raises(KeyError):
        said("subscription.event", "en")


@pytest.mark.parametrize(
    ("asked", "given"), [("es", "es"), ("es-MX", "es"), ("ES_us", "es"), ("en-US", "en"), ("vi", "en"), ("", "en")]
)
def test_languages(asked: str, given: str) -> None:
    assert spoken(asked) == given
