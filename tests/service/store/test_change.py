"""Changes that are added to each other rely on what each of them relied on."""

from service.store.change import Change


def test_of_two_readings_of_an_epoch_the_earlier_one_counts() -> None:
    merged = Change(epochs={1: 4, 2: 7}).merge(Change(epochs={1: 5, 2: 6, 3: 9}))
    assert merged.epochs == {1: 4, 2: 6, 3: 9}
