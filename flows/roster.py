"""The sessions in the lake: what each holds, what it decided last, and whether it is halted."""

from __future__ import annotations

import pandas as pd

from data.views import read
from data.writer import Lake
from tasks.trade.halt import halted

_SESSIONS = """
    WITH decided AS (
        SELECT run_id, max(ts) AS candle, arg_max(action, ts) AS action, arg_max(reason, ts) AS reason
        FROM decisions GROUP BY run_id
    ),
    valued AS (SELECT run_id, arg_max(equity, ts) AS equity FROM equity GROUP BY run_id),
    held AS (
        SELECT run_id, sum(
            CASE side WHEN 'buy' THEN 1 ELSE -1 END * amount_exact::DECIMAL(38, 18)
            - CASE fee_currency WHEN split_part(symbol, '/', 1) THEN fee_exact::DECIMAL(38, 18) ELSE 0 END
        )::DOUBLE AS position
        FROM fills WHERE amount_exact IS NOT NULL GROUP BY run_id
    )
    SELECT run_id, kind AS mode, exchange, symbol, timeframe, strategy, candle, action, reason,
        coalesce(position, 0.0) AS position, coalesce(equity, cash) AS equity
    FROM runs LEFT JOIN decided USING (run_id) LEFT JOIN valued USING (run_id) LEFT JOIN held USING (run_id)
    WHERE kind IN ('paper', 'live')
    ORDER BY created_at
"""


def roster(lake: Lake) -> pd.DataFrame:
    """Return one row a session, the oldest first.

    `candle`, `action` and `reason` are those of the last decision, `equity` (quote) that of the close at which it was
    taken, `position` (base) what is held by all fills until now; `halted` is the reason of a halt in force, or None.
    """
    rows: pd.DataFrame = read(lake, _SESSIONS, [], tables={"runs", "decisions", "equity", "fills"}).to_pandas()
    halts = [halted(symbol) for symbol in rows["symbol"]]
    return rows.assign(halted=pd.Series([halt.reason if halt else None for halt in halts], dtype=object))


def traded_symbols(lake: Lake, account: str | None = None) -> list[str]:
    """Return the symbols of all sessions, or of those that trade on an account, each once."""
    query = """SELECT DISTINCT symbol FROM runs
        WHERE kind IN ('paper', 'live') AND (? IS NULL OR manifest ->> 'account' = ?) ORDER BY symbol"""
    symbols: list[str] = read(lake, query, [account, account], tables={"runs"})["symbol"].to_pylist()
    return symbols
