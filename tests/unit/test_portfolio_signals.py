"""Signals of many markets: shares, a strategy that weighs them all, and its check for look-ahead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame, concat

from data.errors import BadInput, StrategyError
from tasks.signal import PortfolioStrategy
from tasks.signal.check import check
from tasks.signal.market import invented_market
from tasks.signal.portfolio import portfolio_signals, shares_of, side_by_side
from tasks.signal.registry import create
from tasks.signal.signals import signals

NAN = math.nan


def candles(closes: list[float], start: str = "2024-01-01") -> DataFrame:
    index = pd.date_range(start, periods=len(closes), freq="D", tz="UTC", unit="us", name="ts")
    close = np.array(closes)
    return DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=index)


class Loudest(PortfolioStrategy):
    """Hold what has the highest close; written by the test to do something wrong."""

    fault: str = ""

    @property
    def warmup(self) -> int:
        return 1

    def generate(self, candles: DataFrame) -> DataFrame:
        close = candles["close"]
        if self.fault == "peek":
            close = close.shift(-1)
        weights = close.eq(close.max(axis=1), axis=0).astype(float)
        if self.fault == "memory":
            weights.iloc[:, 0] += close.iloc[:, 0].expanding().mean() / 1e9
            weights = weights.clip(upper=1)
        if self.fault == "large":
            weights *= 2
        if self.fault == "one level":
            return weights
        if self.fault == "stranger":
            weights["Z"] = 0.0
        if self.fault == "no target":
            return concat({"weight": weights}, axis=1)
        if self.fault == "raise":
            raise ValueError("no")
        return concat({"close_seen": close, "target": weights}, axis=1)


def test_the_markets_that_have_risen_most_are_held_in_equal_parts() -> None:
    markets = {
        "A": candles([100, 100, 110, 120, 90]),
        "B": candles([100, 100, 120, 110, 110]),
        "C": candles([100, 100, 90, 130, 120]),
    }
    found = portfolio_signals(markets, create("cross_sectional_momentum", {"lookback": 2, "top": 2}), {})
    weights = DataFrame({symbol: frame["signal"] for symbol, frame in found.items()}).fillna(9)
    assert weights.to_numpy().tolist() == [[9, 9, 9], [9, 9, 9], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0, 0.5]]
    assert found["C"]["momentum"].iloc[3] == pytest.approx(0.3)
    assert found["A"]["entry_exit"].fillna(9).tolist() == [9, 9, 0.5, 0, -0.5]
    assert found["A"]["close"].tolist() == [100, 100, 110, 120, 90]


def test_a_market_has_rows_from_its_listing_on_and_a_signal_without_a_candle_is_kept() -> None:
    late, holed = (
        candles([50, 60, 70], "2024-01-03"),
        candles([1, 2, 3, 4, 5]).drop(pd.Timestamp("2024-01-04", tz="UTC")),
    )
    found = portfolio_signals({"A": candles([9, 9, 9, 9, 9]), "L": late, "H": holed}, Loudest(), {})
    assert found["L"]["signal"].tolist() == [1, 1, 1]
    assert list(found["L"].index) == list(late.index)
    # At the fourth instant H has no candle, and is told to be left all the same.
    assert len(found["H"]) == 5
    assert found["H"]["close"].isna().tolist() == [False, False, False, True, False]


def test_a_strategy_of_one_market_is_asked_for_each_and_has_its_share() -> None:
    markets = {"A": invented_market(60, 1), "B": invented_market(60, 2)}
    strategy = create("sma_crossover", {"fast": 2, "slow": 5})
    found = portfolio_signals(markets, strategy, {"A": 0.75, "B": 0.25})
    for symbol, share in (("A", 0.75), ("B", 0.25)):
        alone = signals(markets[symbol], strategy)
        pd.testing.assert_series_equal(found[symbol]["signal"], alone["signal"] * share)
        pd.testing.assert_series_equal(found[symbol]["entry_exit"], alone["entry_exit"] * share)
        pd.testing.assert_series_equal(found[symbol]["fast"], alone["fast"])


def test_shares_are_equal_unless_all_are_given() -> None:
    assert shares_of(["A", "B"], {}) == {"A": 0.5, "B": 0.5}
    assert shares_of(["A", "B"], {"B": 0.2, "A": 0.3}) == {"A": 0.3, "B": 0.2}
    with pytest.raises(BadInput, match="weight of C: it is not among the symbols A, B"):
        shares_of(["A", "B"], {"A": 0.2, "B": 0.2, "C": 0.3})
    with pytest.raises(BadInput, match="weight of B: give one for each symbol, or for none"):
        shares_of(["A", "B"], {"A": 0.2})


@pytest.mark.parametrize("parameters", [{}, {"lookback": 5, "top": 1, "positive": False}], ids=str)
def test_the_shipped_strategy_of_many_markets_passes_the_check(parameters: dict[str, object]) -> None:
    report = check(create("cross_sectional_momentum", parameters))
    assert report.findings == ()
    assert report.changes >= 5


def test_a_look_ahead_in_one_market_is_found_with_its_symbol() -> None:
    report = check(Loudest(fault="peek"))
    assert {(finding.kind, finding.column.split(" of ")[0]) for finding in report.findings} == {
        ("lookahead", "close_seen"),
        ("lookahead", "target"),
    }
    assert {finding.column[-5:] for finding in report.findings} >= {" of A", " of C"}


def test_endless_memory_of_one_market_is_found() -> None:
    assert ("warmup", "target of A") in {(each.kind, each.column) for each in check(Loudest(fault="memory")).findings}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("one level", "loudest returned columns of one level: return two, a name and a symbol"),
        ("stranger", "loudest returned columns of Z, which is none of the symbols"),
        ("no target", "A: loudest returned no column 'target', only: weight"),
        ("large", "A: loudest: target is outside -1 to 1: 2 at 2024-01-01"),
        ("raise", "loudest failed in test_portfolio_signals.py"),
    ],
)
def test_a_strategy_that_returns_no_weights_is_told_so(fault: str, message: str) -> None:
    with pytest.raises(StrategyError, match="^" + message):
        portfolio_signals({"A": candles([3, 3, 3]), "B": candles([1, 2, 2])}, Loudest(fault=fault), {})


@pytest.mark.parametrize(
    ("closes", "message"), [([1.0], "needs 2 candles or more"), ([1.0, 2.0, 3.0], "backtest it on several symbols")]
)
def test_what_a_portfolio_strategy_cannot_be_used_for_is_said(closes: list[float], message: str) -> None:
    def ask() -> Any:
        if len(closes) == 1:
            return portfolio_signals({"A": candles(closes)}, Loudest(), {})
        return signals(candles(closes), Loudest())

    with pytest.raises(BadInput, match=message):
        ask()


def test_a_portfolio_strategy_sees_what_all_markets_have_side_by_side() -> None:
    one = candles([1, 2])
    wide = side_by_side({"A": one.assign(trades=3.0), "B": candles([5], "2024-01-02")})
    assert list(wide.columns.unique(0)) == ["open", "high", "low", "close", "volume"]
    assert wide["close"].fillna(9).to_numpy().tolist() == [[1, 9], [2, 5]]
