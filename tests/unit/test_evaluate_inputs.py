"""What evaluate refuses, and what it endures: bad tables, ruin, flat curves, extremes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadInput
from data.metrics import METRICS
from data.tables import TABLES
from tasks.evaluate.metrics import evaluate
from tests.unit.evaluate_runs import candles_of, equity_of, fills_of, instants, measured, trades_of

TS = instants(4)
Inputs = dict[str, Any]


def inputs() -> Inputs:
    return {
        "equity": equity_of([100.0, 101.0, 99.0, 102.0], TS),
        "trades": trades_of({"profit": 1.0}),
        "fills": fills_of({"fee": 0.1}),
        "candles": candles_of([10.0, 11.0, 10.0, 12.0], TS),
        "cash": 100.0,
        "timeframe": "1d",
        "calendar": "24/7",
    }


def evaluated(given_inputs: Inputs) -> pd.DataFrame:
    tables = [given_inputs.pop(name) for name in ("equity", "trades", "fills", "candles")]
    return evaluate(*tables, **given_inputs)


def put(table: str, column: str, value: object, row: int = 0) -> Callable[[Inputs], None]:
    def change(run: Inputs) -> None:
        frame = run[table].copy()
        frame[column] = [value if i == row else old for i, old in enumerate(frame[column])]
        run[table] = frame

    return change


def replace(name: str, make: Callable[[Any], Any]) -> Callable[[Inputs], None]:
    def change(run: Inputs) -> None:
        run[name] = make(run[name])

    return change


REFUSED = {
    "equity is NaN": (put("equity", "equity", np.nan, 2), "equity.equity is nan in row 2"),
    "equity is infinite": (put("equity", "equity", np.inf), "equity.equity is inf in row 0"),
    "position is NaN": (put("equity", "position", np.nan), "equity.position is nan in row 0"),
    "equity is text": (put("equity", "equity", "much"), "equity.equity holds something that is no number"),
    "close is NaN": (put("candles", "close", np.nan, 1), "candles.close is nan in row 1"),
    "close is zero": (put("candles", "close", 0.0, 1), "candles.close is 0.0 in row 1: a price must be above 0"),
    "first open is negative": (put("candles", "open", -1.0), "candles.open is -1.0 in row 0"),
    "profit is NaN": (put("trades", "profit", np.nan), "trades.profit is nan in row 0"),
    "exit is absent": (put("trades", "exit_ts", pd.NaT), "trades.exit_ts"),
    "side is unknown": (put("trades", "side", "up"), "trades.side is 'up': it must be long or short"),
    "status is unknown": (put("trades", "status", "done"), "trades.status is 'done'"),
    "fee is NaN": (put("fills", "fee", np.nan), "fills.fee is nan in row 0"),
    "price is NaN": (put("fills", "price", np.nan), "fills.price is nan in row 0"),
    "equity is empty": (replace("equity", lambda frame: frame.iloc[:0]), "equity has no rows"),
    "equity is unsorted": (replace("equity", lambda frame: frame.iloc[::-1]), "not strictly increasing"),
    "an instant is doubled": (put("equity", "ts", TS[0], 1), "equity.ts is not strictly increasing"),
    "no time zone": (
        replace("equity", lambda frame: frame.assign(ts=frame["ts"].dt.tz_localize(None))),
        "equity.ts is datetime64[us]: give instants with their time zone",
    ),
    "candles of other instants": (
        replace("candles", lambda frame: frame.shift(freq="1D")),
        "equity and candles are not of the same instants",
    ),
    "fewer candles": (replace("candles", lambda frame: frame.iloc[:-1]), "not of the same instants"),
    "a column is absent": (replace("equity", lambda frame: frame.drop(columns="position")), "equity lacks the column"),
    "trades lack a column": (replace("trades", lambda frame: frame.drop(columns="return")), "trades lacks the column"),
    "cash is zero": (replace("cash", lambda _: 0.0), "cash is 0.0"),
    "cash is NaN": (replace("cash", lambda _: float("nan")), "cash is nan"),
    "timeframe is unknown": (replace("timeframe", lambda _: "1y"), "unknown timeframe '1y'"),
    "calendar is unknown": (replace("calendar", lambda _: "9 to 5"), "unknown calendar '9 to 5'"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_evaluated_is_refused_in_one_line(change: Callable[[Inputs], None], message: str) -> None:
    run = inputs()
    change(run)
    with pytest.raises(BadInput) as refusal:
        evaluated(run)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_inputs_are_not_changed() -> None:
    run, untouched = inputs(), inputs()
    evaluated(dict(run))
    for name in ("equity", "trades", "fills", "candles"):
        pd.testing.assert_frame_equal(run[name], untouched[name])


def test_every_metric_has_one_row_in_the_order_of_the_registry() -> None:
    table = evaluated(inputs())
    assert list(table["metric"]) == list(METRICS)
    assert list(table["unit"]) == [metric.unit for metric in METRICS.values()]
    assert list(table.columns) == [column.name for column in TABLES["metrics"].columns if column.name != "run_id"]


def test_tables_without_rows_and_types_are_a_run_without_trades() -> None:
    run = inputs()
    run["trades"] = pd.DataFrame(columns=run["trades"].columns)
    run["fills"] = pd.DataFrame(columns=run["fills"].columns)
    found = evaluated(run).set_index("metric").value
    assert found["trades"] == 0
    assert found["fees_paid"] == 0


def test_a_flat_account_has_no_risk_no_drawdown_and_no_ratios() -> None:
    found = measured(np.full(400, 100.0), market=np.linspace(10, 20, 400), position=0.0)
    for name in ("annual_return", "cumulative_return", "cagr", "annual_volatility", "max_drawdown", "exposure_time"):
        assert found.value[name] == 0.0
    for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "omega_ratio", "skew", "kurtosis", "tail_ratio"):
        assert np.isnan(found.value[name])
        assert found.note[name]


def test_a_ruined_account_is_measured_up_to_its_ruin_and_says_when() -> None:
    curve = [*np.linspace(100, 110, 100), -22.0, *np.full(300, 50.0)]
    found = measured(curve)
    assert found.value["observations"] == 101
    assert found.value["worst_period"] == pytest.approx(-1.2)
    assert found.value["max_drawdown"] == pytest.approx(-1.2)
    assert found.value["cumulative_return"] == pytest.approx(-0.5)
    for name in ("cumulative_return", "final_equity", "observations"):
        assert found.note[name].startswith("ruined on 2024-04-10")


def test_an_account_ruined_within_a_day_has_no_return_from_later_that_day() -> None:
    hourly = np.repeat([100.0, 110.0, 120.0], 24)
    hourly[30] = 0.0
    found = measured(hourly, timeframe="1h").value
    assert found["observations"] == 2
    assert found["worst_period"] == -1.0


def test_a_total_loss_is_a_growth_of_minus_one_and_a_debt_has_no_rate() -> None:
    assert measured([*np.full(399, 100.0), 0.0]).value["cagr"] == -1.0
    debt = measured([*np.full(399, 100.0), -1.0])
    assert np.isnan(debt.value["cagr"])
    assert "below 0" in debt.note["cagr"]


amounts = st.floats(-1e300, 1e300, allow_nan=False)


@given(
    curve=st.lists(amounts, min_size=1, max_size=60),
    cash=st.floats(1e-300, 1e300),
    timeframe=st.sampled_from(["1h", "1d", "1w"]),
    profits=st.lists(st.floats(-1e150, 1e150), max_size=6),
)
@settings(max_examples=100)
def test_no_value_is_infinite_and_every_absence_is_explained(
    curve: list[float], cash: float, timeframe: str, profits: list[float]
) -> None:
    market = np.clip(np.abs(curve), 1e-300, None)
    trades = trades_of(*({"profit": profit} for profit in profits))
    found = measured(curve, market=market, cash=cash, timeframe=timeframe, trades=trades)
    assert np.isfinite(found.value.dropna()).all()
    assert found.note[found.value.isna()].notna().all()
    assert (found.low.isna() == found.high.isna()).all()
    bounded = found.dropna(subset=["value", "low"])
    assert (bounded.low <= bounded.high).all()


returns = st.lists(st.floats(-0.4, 0.5), min_size=90, max_size=200)


@given(returns=returns, factor=st.sampled_from([2.0**-7, 4.0, 2.0**20]))
@settings(max_examples=40)
def test_a_scaled_account_scales_the_money_and_nothing_else(returns: list[float], factor: float) -> None:
    curve = 100.0 * np.cumprod(1 + np.array(returns))
    market = 10 + np.arange(len(returns)) % 7
    rows = [{"profit": 3.0}, {"profit": -1.5}, {"profit": 2.0, "side": "short"}, {"profit": 9.0, "status": "open"}]
    scaled_rows = [row | {"profit": row["profit"] * factor, "entry_holding": 1000.0 * factor} for row in rows]
    fill = {"amount": 2.0, "fee": 0.5}
    scaled_fill = {"amount": 2.0 * factor, "fee": 0.5 * factor}
    small = measured(curve, market, trades=trades_of(*rows), fills=fills_of(fill))
    large = measured(
        curve * factor, market, cash=100.0 * factor, trades=trades_of(*scaled_rows), fills=fills_of(scaled_fill)
    )
    money = small["unit"] == "quote"
    assert money.sum() == sum(metric.unit == "quote" for metric in METRICS.values())
    pd.testing.assert_series_equal(large.value[~money], small.value[~money], check_exact=True)
    pd.testing.assert_series_equal(large.value[money], small.value[money] * factor, check_exact=True)


@given(returns=returns)
@settings(max_examples=40)
def test_candles_twice_as_long_double_days_halve_the_annual_return_and_keep_the_rest(returns: list[float]) -> None:
    curve = 100.0 * np.cumprod(1 + np.array(returns))
    market = 10 + np.arange(len(returns)) % 7
    daily, slow = measured(curve, market).value, measured(curve, market, timeframe="2d").value
    for name in ("duration_days", "max_drawdown_days", "average_drawdown_days", "current_drawdown_days"):
        assert slow[name] == pytest.approx(2 * daily[name])
    assert slow["annual_return"] == pytest.approx(daily["annual_return"] / 2)
    assert slow["alpha"] == pytest.approx(daily["alpha"] / 2)
    for name in ("annual_volatility", "sharpe_ratio", "sortino_ratio"):
        assert slow[name] == pytest.approx(daily[name] / np.sqrt(2), nan_ok=True)
    assert (1 + slow["cagr"]) ** 2 == pytest.approx(1 + daily["cagr"])
    for name in ("cumulative_return", "max_drawdown", "period_sharpe", "beta", "skew", "value_at_risk", "ulcer_index"):
        assert slow[name] == pytest.approx(daily[name], nan_ok=True)


def test_a_million_candles_are_evaluated_without_a_loop_over_them() -> None:
    """A loop over the rows would take tens of seconds."""
    ts = instants(1_000_000, "1m")
    curve = 100 + np.sin(np.arange(1_000_000) / 5000)
    started = time.process_time()
    measured(curve, timeframe="1m", ts=ts)
    assert time.process_time() - started < 2
