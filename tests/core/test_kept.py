"""A mapping that is a value, against dicts that are copied."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.kept import Kept


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20), st.integers(0, 9)), max_size=400))
def test_whatever_is_put_wherever_it_is_a_dict_that_is_copied(steps: list[tuple[int, int, int]]) -> None:
    """Each step goes on from any mapping that was made before, and none of those ever changes."""
    made: list[tuple[Kept[int, int], dict[int, int]]] = [(Kept(), {})]
    for start, key, value in steps:
        kept, plain = made[start % len(made)]
        made.append((kept.put(key, value), {**plain, key: value}))
    for kept, plain in made:
        assert list(kept.items()) == list(plain.items())
        assert (len(kept), kept, repr(kept)) == (len(plain), plain, repr(plain))
        assert [kept.get(key) for key in range(-1, 21)] == [plain.get(key) for key in range(-1, 21)]


def test_many_keys_stay_in_their_order_and_old_ones_stay_as_they_were() -> None:
    kept, before = Kept[str, int](), Kept[str, int]()
    for number in range(1000):
        before, kept = (kept if number == 500 else before), kept.put(f"k{number}", number)
    changed = kept.put("k3", -1)
    assert list(kept) == [f"k{number}" for number in range(1000)]
    assert (len(before), list(before)[-1], "k500" in before) == (500, "k499", False)
    assert (kept["k3"], changed["k3"], len(changed)) == (3, -1, 1000)
    assert {kept, changed, before} != {before}
    with pytest.raises(KeyError):
        _ = before["k999"]


def test_threads_that_go_on_from_one_mapping_do_not_see_each_other() -> None:
    start, ends, gate = Kept[str, int]().put("a", 0), list[Kept[str, int]](), threading.Barrier(4)

    def grow(name: str) -> None:
        mine = start
        gate.wait(10)
        for number in range(200):
            mine = mine.put(f"{name}{number}", number)
        ends.append(mine)

    threads = [threading.Thread(target=grow, args=(name,)) for name in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(list(end)[-1] for end in ends) == ["w199", "x199", "y199", "z199"]
    assert all(len(end) == 201 and set(end.values()) == set(range(200)) for end in ends)
