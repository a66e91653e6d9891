"""An epoch that was read twice counts as first read: something was decided on it."""

from service.store.change import Change
from service.workflow.stay_world import Held, rely_on_member


def test_of_two_readings_of_an_epoch_the_earlier_one_counts() -> None:
    merged = Change(epochs={1: 4, 2: 7}).merge(Change(epochs={1: 5, 2: 6, 3: 9}))
    assert merged.epochs == {1: 4, 2: 6, 3: 9}


def test_so_it_is_where_a_members_stays_are_looked_at_twice() -> None:
    change = Change(epochs={1: 4})
    rely_on_member(change, Held({1: 5, 2: 6}, [], {}, []))
    assert (change.epochs, change.bump_epochs) == ({1: 4, 2: 6}, {1, 2})
