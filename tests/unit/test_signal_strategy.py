"""What a strategy is: parameters, name, description, and the helpers its author uses."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame, Series
from pydantic import ValidationError, create_model

from tasks.signal import Field, Strategy, above, hold, increasing
from tasks.signal.strategies.sma_crossover import SmaCrossover


class Flat(Strategy):
    """Never hold.

    A second paragraph.
    """

    _order = increasing("low", "middle", "high")
    low: float = 1
    middle: float = 2
    high: float = Field(3, le=10, description="the highest")

    @property
    def warmup(self) -> int:
        return 0

    def generate(self, candles: DataFrame) -> DataFrame:
        return DataFrame({"target": 0.0}, index=candles.index)


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("SmaCrossover", "sma_crossover"), ("RSI", "rsi"), ("MACDCross", "macd_cross"), ("Sma2Cross", "sma2_cross")],
)
def test_the_name_is_the_classs_in_snake_case(class_name: str, name: str) -> None:
    assert create_model(class_name, __base__=Flat).name == name


def test_the_description_is_the_first_line_of_the_docstring() -> None:
    assert Flat.description == "Never hold."
    assert create_model("Silent", __base__=Flat).description == ""


def test_a_strategy_cannot_be_changed_and_takes_no_unknown_parameter() -> None:
    strategy = SmaCrossover(fast=5, slow=10)
    with pytest.raises(ValidationError, match="frozen"):
        strategy.fast = 6
    with pytest.raises(ValidationError, match="extra"):
        SmaCrossover(fats=5)
    assert strategy == SmaCrossover(fast=5, slow=10)
    assert hash(strategy) == hash(SmaCrossover(fast=5, slow=10))


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_parameter_is_a_finite_number(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Flat(low=number)


def test_a_strategy_without_warm_up_or_generate_cannot_be_made() -> None:
    class Half(Strategy):
        @property
        def warmup(self) -> int:
            return 0

    with pytest.raises(TypeError, match="generate"):
        Half()


@pytest.mark.parametrize("reserved", ["name", "description"])
def test_a_parameter_cannot_take_a_name_of_the_strategys_own(reserved: str) -> None:
    with pytest.raises(TypeError, match=f"a parameter cannot be called '{reserved}'"):
        create_model("Named", __base__=Strategy, **{reserved: (str, "x")})


def test_increasing_refuses_equal_and_falling_values_and_names_both() -> None:
    Flat(low=1, middle=1.5, high=1.6)
    with pytest.raises(ValidationError, match=r"middle must be below high, but middle=3\.0 and high=3"):
        Flat(middle=3)
    with pytest.raises(ValidationError, match=r"low must be below middle, but low=5\.0 and middle=2"):
        Flat(low=5)


def test_above_is_unknown_where_either_side_is() -> None:
    nan = math.nan
    result = above(Series([1.0, 2.0, 3.0, nan, 3.0, nan]), Series([2.0, 2.0, 2.0, 2.0, nan, nan]))
    assert result.fillna(9).tolist() == [0, 0, 1, 9, 9, 9]
    assert above(Series([1.0, 3.0, nan]), 2).fillna(9).tolist() == [0, 1, 9]
    assert above(Series([1.0]), nan).isna().all()


def events(rows: int, *at: int) -> Series:
    return Series([row in at for row in range(rows)])


def test_hold_lasts_from_an_entry_to_the_next_exit() -> None:
    result = hold(events(9, 2, 3, 7), events(9, 5))
    assert result.fillna(9).tolist() == [9, 9, 1, 1, 1, 0, 0, 1, 1]


def test_hold_knows_that_it_is_out_after_an_exit_even_without_an_entry() -> None:
    assert hold(events(4), events(4, 1)).fillna(9).tolist() == [9, 0, 0, 0]


def test_hold_is_unknown_without_any_event() -> None:
    assert hold(events(4), events(4)).isna().all()
    assert len(hold(events(0), events(0))) == 0


def test_an_exit_wins_over_an_entry_on_the_same_candle() -> None:
    assert hold(events(3, 1), events(3, 1)).fillna(9).tolist() == [9, 0, 0]


def test_events_in_the_warm_up_do_not_count() -> None:
    assert hold(events(6, 1, 4), events(6, 2), warmup=3).fillna(9).tolist() == [9, 9, 9, 9, 1, 1]


def test_a_missing_event_is_none() -> None:
    entries = Series([None, True, None], dtype="boolean")
    assert hold(entries, entries.isna() & False).fillna(9).tolist() == [9, 1, 1]


@given(st.lists(st.sampled_from(["enter", "leave", "both", "nothing"]), max_size=30), st.integers(0, 30))
def test_a_held_position_never_contradicts_that_on_a_longer_history(script: list[str], dropped: int) -> None:
    entries = Series([event in ("enter", "both") for event in script], dtype=bool)
    exits = Series([event in ("leave", "both") for event in script], dtype=bool)
    full, short = hold(entries, exits).iloc[dropped:], hold(entries.iloc[dropped:], exits.iloc[dropped:])
    known = short.notna()
    assert short[known].equals(full[known])
