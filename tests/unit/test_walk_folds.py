"""The folds of a walk-forward: nothing of a test, nor of the gap before it, chooses the set that it tries."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.evaluate.folds import Fold, walk

WALKS = st.fixed_dictionaries(
    {
        "candles": st.integers(1, 3_000),
        "tests": st.integers(1, 12),
        "train": st.integers(1, 6),
        "anchored": st.booleans(),
        "purge": st.integers(0, 60),
        "embargo": st.integers(0, 60),
    }
)


def walked(terms: dict[str, int]) -> list[Fold]:
    """Return the folds, or leave out the example where there are too few candles."""
    try:
        return walk(**terms)  # type: ignore[arg-type]
    except BadInput:
        gap = terms["purge"] + terms["embargo"]
        assert terms["candles"] < gap + terms["train"] + terms["tests"]
        assume(False)
        raise


@given(WALKS)
def test_what_chooses_ends_a_gap_before_the_test(terms: dict[str, int]) -> None:
    for fold in walked(terms):
        chooses, tests = (range(span.start, span.stop) for span in (fold.train, fold.test))
        assert 0 <= chooses.start < chooses.stop <= tests.start < tests.stop <= terms["candles"]
        assert tests.start - chooses.stop == terms["purge"] + terms["embargo"]


@given(WALKS)
def test_tests_are_of_one_length_and_follow_each_other_to_the_last_candle(terms: dict[str, int]) -> None:
    folds = walked(terms)
    assert len(folds) == terms["tests"]
    assert len({fold.test.stop - fold.test.start for fold in folds}) == 1
    assert [fold.test.stop for fold in folds[:-1]] == [fold.test.start for fold in folds[1:]]
    assert folds[-1].test.stop == terms["candles"]


@given(WALKS)
def test_rolling_what_chooses_is_of_one_length_and_anchored_it_begins_with_the_first_candle(
    terms: dict[str, int],
) -> None:
    folds = walked(terms)
    length = folds[0].test.stop - folds[0].test.start
    lengths = [fold.train.stop - fold.train.start for fold in folds]
    if terms["anchored"]:
        assert {fold.train.start for fold in folds} == {0}
        assert lengths[0] >= terms["train"] * length
        assert lengths == [lengths[0] + i * length for i in range(len(folds))]
    else:
        assert set(lengths) == {terms["train"] * length}


def test_the_folds_of_a_hundred_candles() -> None:
    folds = walk(100, 3, train=2, purge=3, embargo=2)
    assert [(f.train.start, f.train.stop, f.test.start, f.test.stop) for f in folds] == [
        (0, 38, 43, 62),
        (19, 57, 62, 81),
        (38, 76, 81, 100),
    ]
    anchored = walk(100, 3, train=2, anchored=True)
    assert [(f.train.stop, f.test.start) for f in anchored] == [(40, 40), (60, 60), (80, 80)]


def test_too_few_candles_are_refused_in_a_line() -> None:
    with pytest.raises(
        BadInput, match="10 candles are too few for a walk-forward of 5 tests with 3 times as many"
    ) as no:
        walk(10, 5, purge=3)
    assert "\n" not in str(no.value)
