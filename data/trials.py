"""What the lake's runs have tried on a series: the count that statistics of the best of them must know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.errors import LakeError
from data.rows import one_line
from data.views import passing, read
from data.writer import Lake

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 500
"""Trials whose returns are read: of more, every n-th of the runs' and of the sweeps'."""

_DAY = 86_400_000_000
_STRIDE = f"CAST(ceil(count(*) OVER () / {MOST}) AS BIGINT)"

_DECIDES = ("strategy_code", "sizing", "stops", "limits", "entries", "rebalancing", "markets.*.share")
"""What of a manifest makes another trial of a strategy with the same parameters; the last two are a portfolio's."""


def _how(manifest: str) -> str:
    told = ", ".join(f"CAST({manifest} ->> '$.{name}' AS VARCHAR)" for name in _DECIDES)
    return f"CASE WHEN json_valid({manifest}) THEN md5(concat_ws('|', {told})) END"


_BASKET = """
    coalesce(CASE WHEN json_valid(manifest) THEN list_sort(CAST(manifest -> '$.symbols' AS VARCHAR[])) END, [symbol])
"""
"""All symbols of a run, whatever their order: a portfolio's name does not tell them all."""
_OWN = f"""
    WITH own AS (
        SELECT run_id, kind, strategy, {_how("manifest")} AS how, parameters, cash, start_ts, created_at FROM runs
        WHERE exchange = $exchange AND {_BASKET} = list_sort($symbols) AND timeframe = $timeframe
    )
"""
_SPREAD = f"""{_OWN},
    tried AS (
        SELECT strategy, how, parameters, value AS ratio, created_at FROM own
        LEFT JOIN (SELECT run_id, value FROM metrics WHERE metric = 'period_sharpe') USING (run_id)
        WHERE kind = 'backtest'
        UNION ALL
        SELECT strategy, how, sweeps.parameters, period_sharpe, created_at FROM sweeps JOIN own USING (run_id)
        WHERE failure IS NULL
        UNION ALL
        SELECT $strategy, {_how("$manifest")}, parameters, ratio, now() FROM own_sets
    )
    SELECT count(*), coalesce(var_samp(ratio), 0)
    FROM (SELECT arg_max(ratio, created_at) AS ratio FROM tried GROUP BY strategy, how, parameters)
"""
_CURVES = f"""{_OWN},
    latest AS (
        SELECT arg_max(run_id, created_at) AS run_id FROM own WHERE kind = 'backtest' AND run_id <> $but
        GROUP BY strategy, how, parameters
    ),
    chosen AS (
        SELECT run_id FROM latest QUALIFY (row_number() OVER (ORDER BY run_id) - 1) % {_STRIDE} = 0
    )
    SELECT
        run_id, epoch_us(ts) // {_DAY} AS day, arg_max(equity, ts) AS equity, any_value(own.cash) AS cash,
        (SELECT count(*) FROM latest) / (SELECT count(*) FROM chosen) AS stands_for
    FROM equity JOIN own USING (run_id) WHERE run_id IN (SELECT run_id FROM chosen) GROUP BY ALL ORDER BY run_id, day
"""
_SETS = f"""{_OWN},
    tried AS (
        SELECT run_id, number, start_ts, returns, count(*) OVER (PARTITION BY run_id) AS sets
        FROM sweeps JOIN own USING (run_id) WHERE failure IS NULL AND run_id <> $but
    ),
    chosen AS (
        SELECT * FROM tried WHERE returns IS NOT NULL
        QUALIFY (row_number() OVER (ORDER BY run_id, number) - 1) % {_STRIDE} = 0
    )
    SELECT
        run_id, epoch_us(start_ts) // {_DAY} AS day, returns,
        sets / count(*) OVER (PARTITION BY run_id) AS stands_for
    FROM chosen ORDER BY run_id, number
"""
_DAYS = """
    SELECT DISTINCT epoch_us(ts) // 86400000000 AS day FROM candles
    WHERE exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe ORDER BY day
"""


class Tried(NamedTuple):
    """The sets of a sweep: its strategy's name, its manifest as JSON, and of each set `parameters` and `ratio`."""

    strategy: str
    manifest: str
    sets: pa.Table


class Earlier(NamedTuple):
    """Returns of what was tried in other runs, as far as they are known."""

    returns: Floats
    """A row a period of what is judged, a column a trial."""
    trials: int
    """How many trials the columns stand for, as a sample of them."""


_NOTHING = Tried("", "{}", pa.table({"parameters": pa.array([], pa.string()), "ratio": pa.array([], pa.float64())}))


class _Curve(NamedTuple):
    """The returns of a trial by day since 1970, and how many trials it stands for, itself included."""

    days: Ints
    returns: Floats
    stands_for: float


class Past:
    """What was tried on a series of candles, as the lake knows it at the moment; close it.

    Of a portfolio `symbol` is its name, and the series are those of its `symbols`.

    Whatever is asked raises LakeError where the runs cannot be read.
    """

    def __init__(
        self, lake: Lake, exchange: str, symbol: str, timeframe: str, symbols: Sequence[str] | None = None
    ) -> None:
        self._own = {"exchange": exchange, "timeframe": timeframe, "symbols": list(symbols or [symbol])}
        self._series = {"exchange": exchange, "symbol": symbol, "timeframe": timeframe}
        self._lake, self._views = lake, passing(lake, {"runs", "sweeps", "metrics", "equity"})

    def __enter__(self) -> Past:
        return self

    def __exit__(self, *_: object) -> None:
        self._views.close()

    def spread(self, own: Tried = _NOTHING) -> tuple[int, float]:
        """Return how many trials there were, and the variance of their Sharpe ratios of one period.

        A trial is a strategy with its code, parameters, sizing, stops, limits and kind of entries; of one that was made
        more than once the latest ratio counts. `own` are trials that may not be recorded yet.
        """
        self._views.register("own_sets", own.sets)
        count, variance = self._ask(_SPREAD, strategy=own.strategy, manifest=own.manifest)
        return int(count[0].as_py()), float(variance[0].as_py())

    def returns(self, days: Ints, but: str) -> Earlier:
        """Return the returns of what was tried, a row for each of the days and a column a trial.

        `days` are days since 1970 (UTC), increasing; `but` is the run whose own are left out. From backtests come those
        of the equity, from sweeps those that their sets have kept; of more than 500 of either, every n-th. Trials that
        cover less than half of the days are left out; where one has no return it is 0, as if nothing were held.
        """
        known = [*self._of_runs(but), *self._of_sweeps(but)]
        columns = [(*_on(days, curve.days, curve.returns), curve.stands_for) for curve in known]
        covering = [(returns, stands_for) for returns, share, stands_for in columns if share >= 0.5]
        if not covering:
            return Earlier(np.empty((len(days), 0)), 0)
        returns, stand_for = zip(*covering, strict=True)
        return Earlier(np.column_stack(returns), round(sum(stand_for)))

    def _of_runs(self, but: str) -> list[_Curve]:
        rows: pd.DataFrame = self._ask(_CURVES, but=but).to_pandas()
        found = []
        for _, own in rows.groupby("run_id", sort=False):
            equity = own["equity"].to_numpy(np.float64)
            before = np.concatenate((own["cash"].iloc[:1], equity[:-1]))
            alive = np.logical_and.accumulate(before > 0)  # after ruin there are no returns
            returns = np.divide(equity, before, out=np.ones(len(equity)), where=alive) - 1
            found.append(_Curve(own["day"].to_numpy(np.int64), returns, own["stands_for"].iloc[0]))
        return found

    def _of_sweeps(self, but: str) -> list[_Curve]:
        rows = self._ask(_SETS, but=but)
        if not rows.num_rows:
            return []
        days = read(self._lake, _DAYS, self._series, tables={"candles"})["day"].to_numpy()
        found = []
        of_each = zip(rows["day"].to_pylist(), rows["returns"], rows["stands_for"].to_pylist(), strict=True)
        for first, returns, stands_for in of_each:
            own = np.asarray(returns.values, dtype=np.float64)
            since = days[np.searchsorted(days, first) :][: len(own)]
            found.append(_Curve(since, own[: len(since)], stands_for))
        return found

    def _ask(self, query: str, **named: str) -> pa.Table:
        try:
            rows: pa.Table = self._views.sql(query, params=self._own | named).to_arrow_table()
        except duckdb.Error as error:
            raise LakeError(one_line(error)) from None
        return rows


def _on(days: Ints, own: Ints, returns: Floats) -> tuple[Floats, float]:
    """Return the returns on the days, and the share of them that have one."""
    places = np.searchsorted(own, days)
    places[places == len(own)] = 0
    known = own[places] == days
    return np.where(known, returns[places], 0.0), float(known.mean())
