"""From a strategy's output to checked signals; what strategies may return and what not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from pandas import DataFrame, array
from prefect import flow
from pydantic import PrivateAttr, TypeAdapter

from data.errors import BadInput, StrategyError
from tasks.signal import Strategy, generate_signals
from tasks.signal.market import invented_market
from tasks.signal.signals import indicators_of, signals
from tasks.signal.strategies.sma_crossover import SmaCrossover


class Scripted(Strategy):
    """A strategy that returns what the test says."""

    first: int = 0
    _script: Callable[[DataFrame], Any] = PrivateAttr()

    @property
    def warmup(self) -> int:
        return self.first

    def generate(self, candles: DataFrame) -> DataFrame:
        return self._script(candles)


def scripted(script: Callable[[DataFrame], Any], warmup: int = 0) -> Scripted:
    strategy = Scripted(first=warmup)
    strategy._script = script
    return strategy


def target(values: Any, **indicators: object) -> Callable[[DataFrame], DataFrame]:
    return lambda candles: DataFrame({**indicators, "target": values}, index=candles.index)


def frame(rows: int) -> DataFrame:
    return invented_market(rows)


def message(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_signals_hold_the_close_the_indicators_the_signal_and_its_change() -> None:
    candles = frame(6)
    result = signals(candles, scripted(target([0, 1, 1, 0, 0, 1], mine=range(6), other=True)))
    assert list(result.columns) == ["close", "mine", "other", "signal", "entry_exit"]
    assert result.index.equals(candles.index)
    assert result.index.name == "ts"
    assert (result.dtypes == np.float64).all()
    assert result["close"].equals(candles["close"])
    assert result["signal"].tolist() == [0, 1, 1, 0, 0, 1]
    assert result["entry_exit"].tolist() == [0, 1, 0, -1, 0, 1]
    assert list(indicators_of(result).columns) == ["mine", "other"]


def test_a_change_is_counted_from_the_last_signal_and_from_flat_at_the_beginning() -> None:
    nan = math.nan
    result = signals(frame(7), scripted(target([nan, 1, nan, 1, nan, -0.5, nan])))
    assert result["entry_exit"].fillna(99).tolist() == [99, 1, 99, 0, 99, -1.5, 99]


def test_the_warm_up_has_no_signal_whatever_the_strategy_says() -> None:
    result = signals(frame(5), scripted(target([1, 1, 1, 1, 0], mine=[1.0] * 5), warmup=3))
    assert result["signal"].isna().tolist() == [True, True, True, False, False]
    assert result["entry_exit"].fillna(99).tolist() == [99, 99, 99, 1, -1]
    assert result["mine"].notna().all()


def test_booleans_integers_and_nullable_numbers_are_numbers() -> None:
    nullable = array([1, None, 0], dtype="Int64")
    result = signals(frame(3), scripted(target(nullable, flag=[True] * 3)))
    assert result["signal"].fillna(99).tolist() == [1, 99, 0]
    assert result["flag"].tolist() == [1.0, 1.0, 1.0]


def test_a_strategy_may_add_its_columns_to_the_candles_and_return_them() -> None:
    def in_place(candles: DataFrame) -> DataFrame:
        candles["mine"] = candles["close"] * 2
        candles["target"] = 1
        return candles

    candles = frame(4)
    before = candles.copy()
    result = signals(candles, scripted(in_place))
    assert list(result.columns) == ["close", "mine", "signal", "entry_exit"]
    assert candles.equals(before)


def test_a_strategy_cannot_alter_the_callers_candles() -> None:
    def vandal(candles: DataFrame) -> DataFrame:
        candles.loc[:, "close"] = 1.0
        values = candles["open"].to_numpy()
        values.flags.writeable = True
        values[:] = 0.0
        candles.index.name = "spoilt"
        del candles["volume"]
        return DataFrame({"target": 1.0}, index=candles.index)

    candles = frame(5)
    before = candles.copy()
    result = signals(candles, scripted(vandal))
    assert candles.equals(before)
    assert candles.index.name == result.index.name == "ts"
    assert result["close"].equals(before["close"])


def test_too_few_candles_are_refused_with_the_number_needed() -> None:
    strategy = SmaCrossover(fast=2, slow=5)
    with pytest.raises(BadInput) as error:
        signals(frame(4), strategy)
    assert "needs 5 candles" in message(error)
    assert "there are 4" in message(error)
    assert signals(frame(5), strategy)["signal"].notna().tolist() == [False] * 4 + [True]


def test_no_candles_at_all_are_refused() -> None:
    with pytest.raises(BadInput, match="but there are 0"):
        signals(frame(3).iloc[:0], scripted(target([])))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda candles: None, "returned a NoneType: return a DataFrame with the column 'target'"),
        (lambda candles: candles["close"], "returned a Series"),
        (lambda candles: DataFrame(index=candles.index), "returned no column 'target', only: none"),
        (lambda candles: DataFrame({"Target": 1.0}, index=candles.index), "returned no column 'target', only: Target"),
        (lambda candles: DataFrame({"target": 1.0}, index=candles.index[1:]), "returned 5 rows for 6 candles"),
        (
            lambda candles: DataFrame({"target": [1.0] * 6}),
            "another index than the candles', first at 2020-01-01 00:00",
        ),
        (
            lambda candles: DataFrame({"target": 1.0}, index=candles.index[[0, 1, 3, 2, 4, 5]]),
            "another index than the candles', first at 2020-01-01 02:00",
        ),
        (target(["buy"] * 6), "the column 'target' holds str, not numbers"),
        (target([1.0] * 6, mine=[1 + 2j] * 6), "the column 'mine' holds complex128, not numbers"),
        (target([1.0] * 6, mine=[[1]] * 6), "the column 'mine' holds object, not numbers"),
        (target([0, 1, 1.5, 2, 0, 0]), "target is outside -1 to 1: 1.5 at 2020-01-01 02:00:00+00:00 (2 candles)"),
        (target([0, -1.001, 0, 0, 0, 0]), "target is outside -1 to 1: -1.001 at 2020-01-01 01:00"),
        (target([0, math.inf, 0, 0, 0, 0]), "target is infinite: inf at 2020-01-01 01:00"),
        (target([0.0] * 6, mine=[1, 2, 3, -math.inf, 5, 6]), "mine is infinite: -inf at 2020-01-01 03:00"),
        (target([0.0] * 6, signal=1.0), "returned the column 'signal', a name that is taken"),
        (target([0.0] * 6, entry_exit=1.0), "returned the column 'entry_exit', a name that is taken"),
        (target([0.0] * 6, close=1.0), "returned the candles' column 'close' altered"),
        (
            lambda candles: DataFrame([[1.0, 2.0, 0.0]] * 6, columns=["a", "a", "target"], index=candles.index),
            "returned the column 'a' twice",
        ),
    ],
)
def test_nonsense_is_refused_in_one_line_that_names_the_strategy_and_the_first_candle(
    answer: Callable[[DataFrame], Any], complaint: str
) -> None:
    with pytest.raises(StrategyError) as error:
        signals(frame(6), scripted(answer))
    assert message(error).startswith("scripted")
    assert complaint in message(error)


def fail(error: BaseException) -> Callable[[DataFrame], Any]:
    def script(candles: DataFrame) -> DataFrame:
        raise error

    return script


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (SystemExit(3), "SystemExit: 3"),
        (RuntimeError(), "RuntimeError"),
        (BadInput("not the user's fault"), "BadInput: not the user's fault"),
    ],
)
def test_an_exception_names_its_type_message_and_line(raised: BaseException, said: str) -> None:
    line = fail.__code__.co_firstlineno + 2
    with pytest.raises(StrategyError) as error:
        signals(frame(3), scripted(fail(raised)))
    assert message(error) == f"scripted failed in test_signal_signals.py, line {line}: {said}"
    assert error.value.__cause__ is raised


def test_the_line_is_the_strategys_own_even_if_a_library_raised() -> None:
    line = test_the_line_is_the_strategys_own_even_if_a_library_raised.__code__.co_firstlineno + 3
    with pytest.raises(StrategyError, match=f"line {line}: KeyError: 'clsoe'"):
        signals(frame(3), scripted(lambda candles: candles["clsoe"]))


def test_ctrl_c_is_not_taken_for_a_fault_of_the_strategy() -> None:
    with pytest.raises(KeyboardInterrupt):
        signals(frame(3), scripted(fail(KeyboardInterrupt())))


def test_a_pydantic_error_inside_a_strategy_stays_one_line() -> None:
    with pytest.raises(StrategyError) as error:
        signals(frame(3), scripted(lambda candles: TypeAdapter(int).validate_python("x")))
    assert "ValidationError" in message(error)
    assert "https" not in message(error)


class BadWarmup(Strategy):
    """Declares a warm-up that is none."""

    says: ClassVar[Any] = -1

    @property
    def warmup(self) -> int:
        return self.says / 1 if isinstance(self.says, str) else self.says

    def generate(self, candles: DataFrame) -> DataFrame:
        return DataFrame({"target": 0.0}, index=candles.index)


@pytest.mark.parametrize(
    ("says", "complaint"),
    [(-1, "warmup is -1"), (2.5, "TypeError"), (None, "TypeError"), ("x", "test_signal_signals.py, line")],
)
def test_a_warm_up_that_is_no_number_of_candles_is_refused(
    monkeypatch: pytest.MonkeyPatch, says: object, complaint: str
) -> None:
    monkeypatch.setattr(BadWarmup, "says", says)
    with pytest.raises(StrategyError, match=complaint):
        signals(frame(3), BadWarmup())


def test_the_stage_runs_without_prefect() -> None:
    candles, strategy = frame(20), SmaCrossover(fast=2, slow=5)
    assert generate_signals(candles, strategy).equals(signals(candles, strategy))


@pytest.mark.usefixtures("prefect_api")
def test_the_stage_is_a_task_of_a_flow_run() -> None:
    @flow
    def pipeline() -> DataFrame:
        return generate_signals(frame(20), SmaCrossover(fast=2, slow=5))

    assert pipeline().equals(signals(frame(20), SmaCrossover(fast=2, slow=5)))
