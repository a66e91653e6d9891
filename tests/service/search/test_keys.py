"""Keys: what they hide."""

from service.search.keys import Keys


def test_a_sealed_number_tells_nothing_and_is_read_back() -> None:
    one, other = Keys(b"a" * 32), Keys(b"b" * 32)
    numbers = [0, 1, 2, 255 << 56 | 7, 2**64 - 1]
    sealed = [one.sealed(number) for number in numbers]
    assert [one.opened(text) for text in sealed] == numbers
    assert len(set(sealed)) == len(numbers) and all(len(text) == 16 for text in sealed)
    assert sealed != [other.sealed(number) for number in numbers]
    differ = bin(int(sealed[1], 16) ^ int(sealed[2], 16)).count("1")
    assert differ > 16, "neighbours look alike"
