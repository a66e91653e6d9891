"""Normalised strings: without case, accents and extra space; prefix and exact searches on the same row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.strings import LIMIT, SEPARATOR, normalise, stored

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300)


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        ("Núñez", "nunez"),
        ("NU\u0301N\u0303EZ", "nunez"),
        ("  Ana \t María ", "ana maria"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("ﬁne", "fine"),
        ("\uff21\uff4e\uff41", "ana"),
        ("a\x1fb", "a b"),
        ("a\u200bb", "a b"),
        ("\u0301", ""),
        ("李", "李"),
    ],
)
def test_normalise(value: str, folded: str):
    assert normalise(value) == folded


@given(texts)
def test_normalising_twice_changes_nothing(value: str):
    once = normalise(value)
    assert normalise(once) == once
    assert len(once) <= LIMIT
    assert SEPARATOR not in once
    assert "\x00" not in once


@given(texts, texts)
def test_stored_tells_values_apart_and_stays_short(one: str, other: str):
    assert stored(one).startswith(normalise(one))
    assert (stored(one) == stored(other)) == (one == other)
    assert len(stored(one).encode()) < 2_000, "an index row of PostgreSQL holds 2,704 bytes"
