"""The examples of the page of SQL: each runs as it stands, on any lake."""

from __future__ import annotations

EXAMPLES: dict[str, str] = {
    "Runs by Sharpe ratio": """
SELECT strategy, parameters, symbol, timeframe, value AS sharpe, low, high, kind, run_id
FROM runs JOIN metrics USING (run_id)
WHERE metric = 'sharpe_ratio'
ORDER BY sharpe DESC NULLS LAST
LIMIT 100
""",
    "Equity and drawdown of the newest run": """
SELECT ts, equity, drawdown, price
FROM equity
WHERE run_id = (SELECT arg_max(run_id, created_at) FROM runs)
ORDER BY ts
""",
    "Trades of the newest backtest": """
SELECT trade_id, side, entry_ts, entry_price, exit_ts, exit_price, profit, "return", fees, bars_held, exit_reason
FROM trades
WHERE run_id = (SELECT arg_max(run_id, created_at) FROM runs WHERE kind = 'backtest')
ORDER BY trade_id
""",
    "Decisions of the newest session, with reasons": """
SELECT ts, close, signal, position, action, reason, detail
FROM decisions
WHERE run_id = (SELECT arg_max(run_id, created_at) FROM runs WHERE kind IN ('paper', 'live'))
ORDER BY ts DESC
""",
    "Why sessions did not trade": """
SELECT run_id, reason, count(*) AS candles, max(ts) AS latest, any_value(detail) AS example
FROM decisions
WHERE action = 'hold'
GROUP BY ALL
ORDER BY run_id, candles DESC
""",
    "Fills with slippage": """
-- How much worse a price was than the one known at the decision: the market's in a session, the candle's close in
-- a backtest, which trades at the next open. A fraction: 0.001 is a tenth of a percent; below 0 it was better.
SELECT f.ts, if(f.side = 'buy', 1, -1) * (f.price / coalesce(d.price, s.close) - 1) AS slippage,
    f.side, f.amount, f.price, coalesce(d.price, s.close) AS price_decided, f.reason, f.fee, run_id
FROM fills f
    JOIN (SELECT DISTINCT run_id, order_id, decision_ts FROM orders) o USING (run_id, order_id)
    LEFT JOIN decisions d ON d.run_id = f.run_id AND d.symbol = f.symbol AND d.ts = o.decision_ts
    LEFT JOIN signals s ON s.run_id = f.run_id AND s.symbol = f.symbol AND s.ts = o.decision_ts
ORDER BY f.ts DESC
""",
    "Gaps in the candles": """
SELECT exchange, symbol, timeframe, start_ts, end_ts, candles AS absent, detail, found_at
FROM quality
WHERE kind = 'gap' AND resolved_at IS NULL
ORDER BY absent DESC
""",
    "Candles of each series": """
SELECT exchange, symbol, timeframe, count(*) AS candles, min(ts) AS first, max(ts) AS last, sum(volume) AS volume
FROM candles
GROUP BY ALL
ORDER BY ALL
""",
    "Parity of the sessions, counted": """
SELECT run_id, verdict, count(*) AS candles, min(ts) AS first, max(ts) AS last
FROM parity
GROUP BY ALL
ORDER BY ALL
""",
    "Return by month of the newest backtest": """
SELECT month, equity / lag(equity, 1, cash) OVER (ORDER BY month) - 1 AS "return", equity
FROM (
    SELECT date_trunc('month', ts) AS month, arg_max(equity, ts) AS equity, any_value(runs.cash) AS cash
    FROM equity JOIN runs USING (run_id)
    WHERE run_id = (SELECT arg_max(run_id, created_at) FROM runs WHERE kind = 'backtest')
    GROUP BY ALL
)
ORDER BY month
""",
}
"""SQL by title."""
